"""A small Ditto that anyone can build: tiny networks, and ONNX models with the
interfaces of the checkpoint's that see the drawn faces of `tests.fakes.packs`.

The face models go by colour: skin is where red is well above blue. Where green is well above red,
the detector sees a second person; the more blue a face is, the more it is turned away.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

from ditto_avatar.face.ditto.audio import OnnxEncoder
from ditto_avatar.face.ditto.checkpoint_files import FILES, place
from ditto_avatar.face.ditto.config import ReleasedConfig
from ditto_avatar.face.ditto.face_models import FaceDetector, FaceMesh, Landmarks203
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.runtime.eager import eager_runners
from ditto_avatar.face.ditto.source import FaceReader
from ditto_avatar.face.ditto.weights import manifest
from tests.face.ditto.reference import tensors
from tests.face.ditto.small import small_networks
from tests.fakes import packs

ENGINE_BATCHES = (1, 4)
# A drawn face is an ellipse of 72 by 96 pixels; the detector's box is a square of its area.
FACE_SIDE = 2 * float(np.sqrt(72 * 96))


def write_network_files(root: Path) -> Path:
    """Files in the places of the networks' weights, for what asks for their key alone."""
    for name, entry in FILES.items():
        if entry.network is not None:
            place(root, name).parent.mkdir(parents=True, exist_ok=True)
            place(root, name).write_bytes(name.encode())
    return root


def save_network(path: Path, network: str) -> None:
    """Write the stand-in of one network as it is released."""
    released = manifest()[network]
    state = {released.prefix + name: value for name, value in tensors(network).items()}
    torch.save(state if released.container is None else {released.container: state}, path)


def write_checkpoints(root: Path) -> Path:
    """A checkpoint folder with stand-in weights of full size, in files as they are released: half a
    gigabyte. The ONNX models are the small ones."""
    for name, entry in FILES.items():
        place(root, name).parent.mkdir(parents=True, exist_ok=True)
        if entry.network is not None:
            save_network(place(root, name), entry.network)
    write_onnx_models(root / "models")
    for name, file in (
        ("audio_encoder", "hubert_streaming_fix_kv.onnx"),
        ("landmarks", "landmark203.onnx"),
        ("face_detector", "blaze_face.onnx"),
        ("face_mesh", "face_mesh.onnx"),
    ):
        (root / "models" / file).replace(place(root, name))
    values = {"online_mode": True, "overlap_v2": 70, "delta_eye_arr": np.zeros((15, 63))}
    place(root, "config").write_bytes(pickle.dumps({"default_kwargs": values}))
    return root


def build_models(folder: Path) -> DittoModels:
    """The whole of it; the ONNX models are written to `folder`."""
    write_onnx_models(folder)
    return DittoModels(
        small_pictures(eager_runners(small_networks(), torch.device("cpu"))),
        OnnxEncoder(folder / "hubert_streaming_fix_kv.onnx"),
        FaceReader(
            FaceDetector(folder / "blaze_face.onnx"),
            FaceMesh(folder / "face_mesh.onnx"),
            Landmarks203(folder / "landmark203.onnx"),
        ),
        ReleasedConfig(),
        key="0123456789ab",
    )


def small_pictures(runners: Runners) -> Runners:
    """Draw from a quarter of the crop's width: a sixteenth of the work of 512 by 512 pixels."""

    def appearance(image: torch.Tensor) -> torch.Tensor:
        volume: torch.Tensor = runners.appearance(F.avg_pool2d(image, 4))
        return volume

    return replace(runners, appearance=appearance)


def write_onnx_models(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in (
        ("hubert_streaming_fix_kv", _encoder()),
        ("blaze_face", _detector()),
        ("face_mesh", _mesh()),
        ("landmark203", _landmarks()),
    ):
        onnx.checker.check_model(model)
        onnx.save(model, str(folder / f"{name}.onnx"))


class Graph:
    """An ONNX graph, written node by node."""

    def __init__(self, source: str, shape: Sequence[int]) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.input = helper.make_tensor_value_info(source, TensorProto.FLOAT, list(shape))

    def constant(self, value: npt.ArrayLike, integer: bool = False) -> str:
        name = f"c{len(self.constants)}"
        array = np.asarray(value, np.int64 if integer else np.float32)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def channel(self, source: str, index: int, axis: int) -> str:
        at = self.constant([index], integer=True)
        return self.node("Gather", source, at, axis=axis)

    def total(self, source: str) -> str:
        return self.node("ReduceSum", source, keepdims=0)

    def model(self, **outputs: tuple[str, Sequence[int]]) -> Any:
        infos = []
        for name, (node, shape) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [node], [name]))
            infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        graph = helper.make_graph(self.nodes, "standin", [self.input], infos, self.constants)
        opset = helper.make_opsetid("", 17)
        return helper.make_model(graph, opset_imports=[opset], ir_version=9)


def _mask(graph: Graph, source: str, more: int, less: int, axis: int) -> str:
    """Where one channel (0..1) is at least 0.16 above another, else 0."""
    difference = graph.node(
        "Sub", graph.channel(source, more, axis), graph.channel(source, less, axis)
    )
    above = graph.node("Sub", difference, graph.constant(0.16))
    return graph.node("Clip", graph.node("Mul", above, graph.constant(100)), "", graph.constant(1))


def _blob(graph: Graph, mask: str, size: int, axes: tuple[int, int]) -> tuple[str, str, str]:
    """Centre x, y and side of a mask's square, as parts of the picture."""
    mask = graph.node("Relu", mask)
    area = graph.node("Add", graph.total(mask), graph.constant(1e-6))
    places = (np.arange(size) + 0.5) / size
    centre = []
    for axis in reversed(axes):
        shape = [1, 1, 1, 1]
        shape[axis] = size
        ramp = graph.constant(places.reshape(shape))
        moment = graph.total(graph.node("Mul", mask, ramp))
        centre.append(graph.node("Div", moment, area))
    share = graph.node("Div", area, graph.constant(size * size))
    side = graph.node("Mul", graph.node("Sqrt", share), graph.constant(2 / np.sqrt(np.pi)))
    return centre[0], centre[1], side


def _detector() -> Any:
    graph = Graph("input", (1, 128, 128, 3))
    half = graph.node("Mul", "input", graph.constant(0.5))
    pixels = graph.node("Add", half, graph.constant(0.5))
    cells = [np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / n] * 2), -1) for n in (16, 8)]
    anchors = [
        np.repeat(grid.reshape(-1, 2), each, axis=0)
        for grid, each in zip(cells, (2, 6), strict=True)
    ]
    one = graph.constant([1], integer=True)
    numbers, scores = [], []
    # The fine anchors see skin, the coarse ones the second person.
    for places, (more, less) in zip(anchors, ((0, 2), (1, 0)), strict=True):
        x, y, side = _blob(graph, _mask(graph, pixels, more, less, 3), 128, (1, 2))
        reach = graph.node("Mul", side, graph.constant(0.2))
        columns = []
        for value in (x, y):
            columns.append(graph.node("Reshape", value, one))
        sides = graph.node("Reshape", side, one)
        eyes = [graph.node(kind, x, reach) for kind in ("Sub", "Add")]
        level = graph.node("Sub", y, graph.node("Mul", side, graph.constant(0.1)))
        for eye in eyes:
            columns.append(graph.node("Reshape", eye, one))
            columns.append(graph.node("Reshape", level, one))
        row = [columns[0], columns[1], sides, sides, *columns[2:]]
        zeros = graph.constant(np.zeros(8))
        flat = graph.node("Concat", *row, zeros, axis=0)  # (16,)
        offset = np.zeros((len(places), 16))
        for column, axis in ((0, 0), (1, 1), (4, 0), (5, 1), (6, 0), (7, 1)):
            offset[:, column] = places[:, axis]
        moved = graph.node("Sub", flat, graph.constant(offset))
        numbers.append(graph.node("Mul", moved, graph.constant(128)))
        seen = graph.node("Sub", side, graph.constant(0.02))
        logit = graph.node("Mul", seen, graph.constant(500))
        filled = graph.node("Mul", graph.constant(np.ones((len(places), 1))), logit)
        scores.append(filled)
    shape = graph.constant([1, 896, 16], integer=True)
    regressors = graph.node("Reshape", graph.node("Concat", *numbers, axis=0), shape)
    shape = graph.constant([1, 896, 1], integer=True)
    classificators = graph.node("Reshape", graph.node("Concat", *scores, axis=0), shape)
    return graph.model(
        regressors=(regressors, (1, 896, 16)), classificators=(classificators, (1, 896, 1))
    )


def _mesh() -> Any:
    graph = Graph("input", (1, 256, 256, 3))
    points = packs.neutral_points() - np.array([*packs.CENTRE, 0])
    template = points * (256 / (1.5 * FACE_SIDE)) + np.array([128, 128, 0])
    # A blue face turns its nose to the side.
    blue = graph.node("Sub", graph.channel("input", 2, 3), graph.channel("input", 1, 3))
    excess = graph.node("ReduceMean", graph.node("Relu", blue), keepdims=0)
    nose = np.zeros((478, 3))
    nose[1, 0] = 400
    turned = graph.node("Mul", graph.constant(nose), excess)
    mesh = graph.node("Add", graph.constant(template), turned)
    flat = graph.node("Reshape", mesh, graph.constant([1, 1, 1, 1434], integer=True))
    score = graph.constant(np.ones((1, 1, 1, 1)))
    return graph.model(
        Identity=(flat, (1, 1, 1, 1434)),
        Identity_1=(score, (1, 1, 1, 1)),
        Identity_2=(score, (1, 1, 1, 1)),
    )


def _template203() -> npt.NDArray[np.float64]:
    """203 of the mesh's points, with eyes and mouth where LivePortrait numbers them."""
    mesh = packs.neutral_points()[:, :2].astype(np.float64) - packs.CENTRE
    chosen = list(packs.OVAL) + list(range(0, 478, 2))
    points = mesh[chosen[:203]]
    eyes = ((0, 33), (6, 159), (12, 133), (18, 145), (24, 263), (30, 386), (36, 362), (42, 374))
    for index, vertex in (*eyes, (48, 61), (66, 291)):
        points[index] = mesh[vertex]
    return np.asarray(points / FACE_SIDE)


def _landmarks() -> Any:
    graph = Graph("input", (1, 3, 224, 224))
    x, y, side = _blob(graph, _mask(graph, "input", 0, 2, 1), 224, (2, 3))
    one = graph.constant([1], integer=True)
    parts = [graph.node("Reshape", value, one) for value in (x, y)]
    centre = graph.node("Concat", *parts, axis=0)
    spread = graph.node("Mul", graph.constant(_template203()), side)
    points = graph.node("Add", spread, centre)
    flat = graph.node("Reshape", points, graph.constant([1, 406], integer=True))
    return graph.model(landmarks=(flat, (1, 406)))


def _encoder() -> Any:
    """Row i is the sound's energy around sample 320 i, in another mix for each number."""
    graph = Graph("input_values", (1, 6480))
    rows = np.zeros((6480, 20))
    for row in range(20):
        rows[320 * row : 320 * row + 400, row] = 1 / 20
    loud = graph.node("Abs", "input_values")
    energy = graph.node("MatMul", loud, graph.constant(rows))
    column = graph.node("Reshape", energy, graph.constant([20, 1], integer=True))
    mixed = graph.node("Mul", column, graph.constant(np.sin(np.arange(1024))[None]))
    return graph.model(encoding_out=(mixed, (20, 1024)))
