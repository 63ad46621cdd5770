"""The audio encoder on a device: windows of all viewers in one batch, half precision, recorded."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ditto_avatar.errors import DittoAvatarError
from ditto_avatar.face.ditto.audio import FEATURES, PRESENT, WANTED, WINDOW, Encode
from ditto_avatar.face.ditto.onnx_session import warn_without_cuda
from ditto_avatar.face.ditto.runtime.beside import Beside
from ditto_avatar.face.ditto.runtime.buckets import Bucketed
from ditto_avatar.face.ditto.runtime.sound.fuse import fuse
from ditto_avatar.face.ditto.runtime.sound.graph import Graph, UnknownGraph, as_operand, read_graph
from ditto_avatar.face.ditto.runtime.verdicts import Verdicts
from ditto_avatar.face.ditto.transfer import Download, upload
from ditto_avatar.types import FloatArray

log = logging.getLogger(__name__)

INPUT = "input_values"
QUESTION = "sound"
BATCHES = (1, 4, 16)
# Of features, against ONNX Runtime in single precision: what both compute in single precision
# differs by rounding alone, half precision moves them by less than a hundredth.
EXACT, CLOSE = 1e-3, 2e-2
PROBES = 2
HALF_LIMIT = float(torch.finfo(torch.float16).max)


class GraphNetwork(nn.Module):
    """A graph as a module: its weights are buffers, its steps run one after the other. Takes and
    gives what the graph does, for one window (1, n)."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self._names: dict[str, str] = {}
        self._operands: list[list[Any]] = []
        for step in graph.steps:
            row: list[Any] = []
            for place, name in enumerate(step.inputs):
                if name not in graph.constants:
                    row.append(None)
                    continue
                operand = as_operand(step, place, graph.constants[name])
                row.append(
                    operand if not isinstance(operand, Tensor) else self._kept(name, operand)
                )
            self._operands.append(row)
        graph.constants.clear()  # the buffers hold what is needed of them

    def _kept(self, name: str, tensor: Tensor) -> str:
        if name not in self._names:
            self._names[name] = f"constant{len(self._names)}"
            self.register_buffer(self._names[name], tensor)
        return self._names[name]

    def half(self) -> GraphNetwork:
        """In half precision; what lies beyond its range (masks) becomes its largest number."""
        for name in self._names.values():
            tensor = self.get_buffer(name)
            if tensor.is_floating_point():
                setattr(self, name, tensor.clamp(-HALF_LIMIT, HALF_LIMIT).half())
        return self

    def forward(self, window: Tensor) -> Tensor:
        values: dict[str, Any] = {self.graph.source: window}
        for step, row in zip(self.graph.steps, self._operands, strict=True):
            for name, operand in zip(step.inputs, row, strict=True):
                if operand is not None:
                    values[name] = getattr(self, operand) if isinstance(operand, str) else operand
            values.update(zip(step.outputs, step.run(values), strict=True))
        result: Tensor = values[self.graph.result]
        return result


class DeviceEncoder:
    """Encodes windows (6480,) of several viewers at once: features (5, 1024) each.

    Called with one window it waits for them; `begin` returns while the device still works. Any
    thread may call it."""

    def __init__(
        self,
        network: GraphNetwork,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        batches: Sequence[int] = BATCHES,
    ) -> None:
        self.batches = tuple(batches)
        self.device = device
        self._dtype = dtype
        if dtype == torch.float16:
            network.half()
        self._network = network.to(device).eval()
        self._run = Bucketed(self._features, (0,), batches, device.type == "cuda")
        # While one backend takes over from another, the threads of both encode.
        self._one_batch = threading.Lock()

    def _features(self, windows: Tensor) -> Tensor:
        """(n, 6480) to (n, 5, 1024), float32. Each window is run as the graph has it, with a batch
        of one: how the exporter wrote the batch into its shapes does not matter."""
        rows: Tensor = torch.vmap(self._network)(windows.to(self._dtype)[:, None])
        rows = rows.reshape(len(windows), -1, FEATURES)[:, WANTED]
        return rows.reshape(len(windows), PRESENT, 2, FEATURES).float().mean(dim=2)

    @torch.inference_mode()
    def begin(self, windows: Sequence[FloatArray]) -> Callable[[], list[FloatArray]]:
        """Start to encode; the result waits for the device. Raises `ValueError` for more windows
        than the largest batch holds."""
        stacked = torch.from_numpy(np.stack(windows))
        with self._one_batch:
            download = Download([self._run(upload(stacked, self.device))])
        return lambda: list(download.arrays()[0].copy())

    def warm_up(self, beside: Beside | None = None) -> None:
        """Encode a batch of each size once, so that no viewer waits for a recording."""
        beside = beside or Beside()
        for size in self.batches:
            sound = (probe_sound() * size)[:size]
            beside.on_device(partial(lambda windows: self.begin(windows)(), sound))

    def __call__(self, window: FloatArray) -> FloatArray:
        return self.begin([window])()[0]


class EncoderDiffers(DittoAvatarError):
    """The modules compute something else than ONNX Runtime does."""


def read_network(path: Path) -> GraphNetwork:
    """The audio encoder of a checkpoint as modules. Blocks for seconds. Raises `UnknownGraph` for a
    graph that is not known."""
    graph, _ = read_graph(path, INPUT, torch.zeros(1, WINDOW))
    return GraphNetwork(fuse(graph))


def read_encoder(
    path: Path,
    device: torch.device,
    exact: Encode,
    batches: Sequence[int] = BATCHES,
    beside: Beside | None = None,
) -> DeviceEncoder:
    """The audio encoder of a checkpoint as torch modules on `device`, compared with `exact`, which
    runs the same file over ONNX Runtime, on random sound. Blocks for seconds; `beside` something
    that draws it uses the device between two batches.

    Raises `UnknownGraph` for a graph that is not known, `EncoderDiffers` for one that computes
    something else."""
    beside = beside or Beside()
    network = read_network(path)
    sound = probe_sound()
    expected = [exact(window) for window in sound]
    single = DeviceEncoder(network, torch.device("cpu"), batches=(1,))
    compare([single(window) for window in sound], expected, EXACT, "in single precision")
    if device.type == "cpu":
        return DeviceEncoder(network, device)
    encoder = DeviceEncoder(network, device, torch.float16, batches)
    found = beside.on_device(lambda: encoder.begin(sound)())
    compare(found, expected, CLOSE, "in half precision")
    encoder.warm_up(beside)
    return encoder


def probe_sound() -> list[FloatArray]:
    """Loud and quiet noise."""
    generator = np.random.default_rng(0)
    levels = np.geomspace(0.01, 0.3, PROBES)
    return [(level * generator.standard_normal(WINDOW)).astype(np.float32) for level in levels]


def compare(
    found: Sequence[FloatArray], expected: Sequence[FloatArray], limit: float, how: str
) -> None:
    """Raises `EncoderDiffers` if ‖found − expected‖ / ‖expected‖ is beyond the limit."""
    one, other = np.stack(found), np.stack(expected)
    difference = float(np.linalg.norm(one - other) / np.linalg.norm(other))
    if not difference <= limit:
        raise EncoderDiffers(
            f"the audio encoder's modules differ from ONNX Runtime by {difference:.1e} {how}; at "
            f"most {limit:.0e} is allowed"
        )


def kept_encoder(
    path: Path, device: torch.device, batches: Sequence[int], verdicts: Verdicts, key: str
) -> DeviceEncoder | None:
    """The modules, where they were compared before and found to be the same; `key` is that of the
    file. None where they have to be compared, or were found to differ. Nothing is recorded yet."""
    kept = verdicts.find(QUESTION, file=key)
    if kept is None or kept.get("same") is not True:
        return None
    try:
        return DeviceEncoder(read_network(path), device, torch.float16, batches)
    except (UnknownGraph, torch.cuda.OutOfMemoryError) as error:
        log.warning("The audio encoder's modules cannot be used as before: %s", error)
        return None


def choose_encoder(
    path: Path,
    device: torch.device,
    open_exact: Callable[[], Encode],
    batches: Sequence[int] = BATCHES,
    verdicts: Verdicts | None = None,
    key: str = "",
    beside: Beside | None = None,
) -> Encode:
    """The modules where they can be used, else what `open_exact` opens, with the reason in the log.
    They are compared once for a file of that `key`: the verdict is kept, a bad one with its reason.
    On a processor ONNX Runtime is the quicker one. Raises `Stopped`."""
    if device.type == "cpu":
        return open_exact()
    verdicts = verdicts or Verdicts()
    kept = verdicts.find(QUESTION, file=key)
    exact: Encode | None = None
    try:
        if kept is None:
            exact = open_exact()
            encoder = read_encoder(path, device, exact, batches, beside)
            verdicts.keep(QUESTION, {"same": True}, file=key)
            return encoder
        if (known := kept_encoder(path, device, batches, verdicts, key)) is not None:
            known.warm_up(beside)
            return known
        reason = f"{kept.get('reason')} ({verdicts.where(QUESTION, file=key)})"
    except (UnknownGraph, EncoderDiffers) as error:
        reason = str(error).removesuffix(".")
        verdicts.keep(QUESTION, {"same": False, "reason": reason}, file=key)
    except torch.cuda.OutOfMemoryError:
        reason = "there is no room for it on the device"
    log.warning("Sound is encoded by ONNX Runtime: %s.", reason)
    warn_without_cuda()
    return exact or open_exact()


def known_operators(graph: Graph) -> Mapping[str, int]:
    """How many steps of each kind a graph has."""
    counts: dict[str, int] = {}
    for step in graph.steps:
        counts[step.kind] = counts.get(step.kind, 0) + 1
    return counts
