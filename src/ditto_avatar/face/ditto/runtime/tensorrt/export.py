"""The networks as ONNX with standard operators only, checked against torch."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditto_avatar.errors import DittoAvatarError
from ditto_avatar.face.ditto.checkpoint_files import FILES, place, weights_key
from ditto_avatar.face.ditto.networks import WarpNetwork
from ditto_avatar.face.ditto.networks.decoder import Modulation
from ditto_avatar.face.ditto.networks.warp import Down, FlowHeads
from ditto_avatar.face.ditto.onnx_session import open_session
from ditto_avatar.face.ditto.runtime.tensorrt.graphs import GraphSpec, module_of, specs
from ditto_avatar.face.ditto.runtime.tensorrt.half import halved
from ditto_avatar.face.ditto.runtime.tensorrt.plan import GRAPHS_FILE, Exported
from ditto_avatar.face.ditto.weights import load_network

OPSET = 17
TOLERANCE = 1e-4
HALF_TOLERANCE = 2e-2
CHECKED_BATCHES = (1, 3)
EXPORT_BATCH = 2  # traced with more than one, so that nothing mistakes the batch for a constant


class ExportDiffers(DittoAvatarError):
    """An exported graph computes something else than the network it came from."""


def gather_volume(volume: Tensor, flow: Tensor) -> Tensor:
    """Trilinear samples of `volume` (b, c, d, h, w) at `flow` (b, d, h, w, 3) out of gathers.

    The same as `networks.warp.sample_volume`; ONNX's five-dimensional GridSample is an operator
    that TensorRT has only as a plugin."""
    shape = volume.shape[2:]
    depth, height, width = (int(side) for side in shape)
    flat = volume.flatten(2).float()  # (b, c, d * h * w)
    corners = []
    for axis, count in enumerate((width, height, depth)):
        place = ((flow[..., axis].flatten(1).float() + 1) * count - 1) / 2
        low = place.floor()
        corners.append([(low + side, 1 - (place - low - side).abs(), count) for side in (0, 1)])
    result: Tensor | None = None
    for x, weight_x, columns in corners[0]:
        for y, weight_y, rows in corners[1]:
            for z, weight_z, planes in corners[2]:
                inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows) & (z >= 0) & (z < planes)
                weight = weight_x * weight_y * weight_z * inside.float()
                index = (z.clamp(0, planes - 1) * height + y.clamp(0, rows - 1)) * width + x.clamp(
                    0, columns - 1
                )
                index = index.long()[:, None].expand(-1, flat.shape[1], -1)
                part = flat.gather(2, index) * weight[:, None]
                result = part if result is None else result + part
    assert result is not None
    return torch.unflatten(result, 2, (depth, height, width)).to(volume.dtype)


def add_own(places: Tensor) -> Tensor:
    """The same as `networks.warp.sum_own` out of slices: a diagonal is written with branches,
    which a graph for an engine should not have."""
    result = places[:, 0, 0].float()
    for index in range(1, int(places.shape[1])):
        result = result + places[:, index, index].float()
    return result


def multiply_add(offset: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    """The same as `torch.addcmul`."""
    return offset + x * factor


def export_graphs(
    networks: Mapping[str, nn.Module],
    folder: Path,
    *,
    half: bool = False,
    graphs: Iterable[GraphSpec] | None = None,
    check: bool = True,
    tell: Callable[[str], None] | None = None,
) -> list[Path]:
    """Writes every graph to `folder`, in float32, or with `half` those that may be in half
    precision; `check` compares them with torch in float32 over ONNX Runtime.

    Raises `ExportDiffers` where they are further apart than 1e-4, or than 2e-2 in half
    precision."""
    tell = tell or (lambda text: None)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for spec in graphs or specs():
        path = folder / f"{spec.name}.onnx"
        in_half = half and spec.half
        tell(f"{path.name}, {'half' if in_half else 'single'} precision")
        exact = _exportable(module_of(spec, networks))
        if check or not in_half:
            export_graph(exact, spec, path, torch.float32)
        if check:
            check_graph(exact, spec, path)
        if in_half:
            export_graph(halved(copy.deepcopy(exact)), spec, path, torch.float16)
        if in_half and check:
            check_graph(exact, spec, path, torch.float16, HALF_TOLERANCE)
        written.append(path)
    return written


def export_checkpoint(
    checkpoints: Path, folder: Path, *, half: bool, tell: Callable[[str], None] | None = None
) -> list[Path]:
    """Writes the graphs of a checkpoint folder to `folder`, and beside them what they are of.

    Raises `InvalidCheckpoint` for weights that are missing or damaged."""
    networks = {
        entry.network: load_network(entry.network, place(checkpoints, name))
        for name, entry in FILES.items()
        if entry.network is not None
    }
    # Written last: graphs of which only some are new must not pass for a whole.
    (folder / GRAPHS_FILE).unlink(missing_ok=True)
    paths = export_graphs(networks, folder, half=half, tell=tell)
    Exported(weights_key(checkpoints), "half" if half else "single").write(folder)
    return paths


def _exportable(module: nn.Module) -> nn.Module:
    """A copy in float32 on the CPU made of operators that every engine has."""
    module = copy.deepcopy(module).to("cpu", torch.float32).eval()
    for part in module.modules():
        if isinstance(part, WarpNetwork):
            part.sample = gather_volume
        elif isinstance(part, Down):
            part.pool = FlatPool()
        elif isinstance(part, FlowHeads):
            part.sum_own = add_own
        elif isinstance(part, Modulation):
            part.modulate = multiply_add
    return module


class FlatPool(nn.Module):
    """Halves height and width of a volume with the pooling of pictures, which half precision has
    on a CPU, too."""

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.avg_pool2d(x.flatten(1, 2), 2)
        return torch.unflatten(pooled, 1, (int(x.shape[1]), int(x.shape[2])))


@torch.no_grad()
def export_graph(module: nn.Module, spec: GraphSpec, path: Path, dtype: torch.dtype) -> None:
    """One graph whose batch is open."""
    names = list(spec.inputs(EXPORT_BATCH))
    axes = {name: {spec.axes.get(name, 0): "batch"} for name in [*names, *spec.outputs]}
    for name in ("pooled", "keys", "values"):
        if name in axes:
            axes[name] = {spec.axes.get(name, 0): "halves"}
    with warnings.catch_warnings():
        # The tracing exporter is on its way out; the new one needs a package more.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            spec.examples(EXPORT_BATCH, dtype),
            str(path),
            input_names=names,
            output_names=list(spec.outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )


@torch.no_grad()
def check_graph(
    module: nn.Module,
    spec: GraphSpec,
    path: Path,
    dtype: torch.dtype = torch.float32,
    tolerance: float = TOLERANCE,
) -> None:
    """Raises `ExportDiffers` unless the graph in `dtype` gives what the module in float32 gives,
    in a batch of one and in a larger one."""
    session = open_session(path)
    for batch in CHECKED_BATCHES:
        inputs = spec.examples(batch, dtype)
        fed = dict(zip(spec.inputs(batch), (tensor.numpy() for tensor in inputs), strict=True))
        wanted = {entry.name for entry in session.get_inputs()}
        found = session.run(None, {name: value for name, value in fed.items() if name in wanted})
        expected = module(*(x if x.dtype == torch.int64 else x.float() for x in inputs))
        expected = (expected,) if isinstance(expected, Tensor) else tuple(expected)
        for name, one, other in zip(spec.outputs, expected, found, strict=True):
            difference = np.linalg.norm(one.numpy() - other) / np.linalg.norm(one.numpy())
            if not difference <= tolerance:
                raise ExportDiffers(
                    f"{path.name}: {name} differs from the network by {difference:.1e} in a "
                    f"batch of {batch}; at most {tolerance:.0e} is allowed."
                )
