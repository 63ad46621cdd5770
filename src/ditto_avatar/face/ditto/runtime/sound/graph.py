"""Read an ONNX graph into steps that torch can run, for one fixed shape of its input.

With the shape fixed, whatever the graph computes from shapes is a constant and is folded. What is
left must be operators that `operators` knows; any other graph is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ditto_avatar.errors import DittoAvatarError
from ditto_avatar.face.ditto.runtime.sound.operators import NUMBERS, OPERATORS

Array = npt.NDArray[Any]
Value = Tensor | Array | None
DOMAINS = ("", "ai.onnx")
SHAPES = ("Shape", "Size")
ONNX_FLOATS = (1, 10, 11, 16)  # float, half, double, bfloat16: TensorProto's numbers


class UnknownGraph(DittoAvatarError):
    """A graph that is not read into torch modules; the message says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operator: what it reads, by name, and what it gives."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def run(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The outputs, from the values of all names."""
        given = [values[name] if name else None for name in self.inputs]
        found = OPERATORS[self.kind](self.attributes, *given)
        return found if isinstance(found, tuple) else (found,)


@dataclass(slots=True)
class Graph:
    """Steps in order from `source` to `result`; `constants` are arrays: weights in float32, and
    numbers."""

    source: str
    result: str
    steps: list[Step]
    constants: dict[str, Array]


def read_graph(path: Path, source: str, window: Tensor) -> tuple[Graph, Tensor]:
    """The graph of an ONNX file for inputs of the shape of `window` (1, n), and what it gives for
    `window`. Blocks for seconds.

    Raises `UnknownGraph` for a file that is none, another input, or an operator that is not
    known."""
    try:
        import onnx
    except ImportError as error:
        raise UnknownGraph("the package onnx, which reads graphs, is not installed") from error
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf raises its own classes for a damaged file
        raise UnknownGraph(f"{path.name} is no ONNX graph: {error}") from error
    graph = model.graph
    constants = {entry.name: onnx.numpy_helper.to_array(entry) for entry in graph.initializer}
    inputs = [entry.name for entry in graph.input if entry.name not in constants]
    if inputs != [source]:
        raise UnknownGraph(f"it reads {', '.join(inputs)} where {source} was expected")
    reader = _Reader(constants, model.opset_import)
    values: dict[str, Value] = {source: window}
    for node in graph.node:
        reader.read(node, values)
    result = graph.output[0].name
    found = values.get(result)
    if not isinstance(found, Tensor):
        raise UnknownGraph("its output does not depend on its input")
    return Graph(source, result, reader.steps, reader.constants), found


class _Reader:
    """Goes over the nodes of a graph in their order."""

    def __init__(self, constants: dict[str, Array], opsets: Any) -> None:
        self.constants = {name: _single(value) for name, value in constants.items()}
        self.steps: list[Step] = []
        self._opsets = list(opsets)

    def read(self, node: Any, values: dict[str, Value]) -> None:
        """Fold the node into constants, or add its step and run it on `values`."""
        if node.domain not in DOMAINS:
            raise UnknownGraph(f"operator {node.domain}.{node.op_type} is not ONNX's own")
        given = [self._value(name, values) for name in node.input]
        if node.op_type in SHAPES:
            given = [np.empty(v.shape, np.float32) if isinstance(v, Tensor) else v for v in given]
        if not any(isinstance(value, Tensor) for value in given):
            for name, array in zip(node.output, self._folded(node, given), strict=True):
                self.constants[name] = _single(array)
            return
        step = self._step(node, given)
        try:
            found = step.run({**self._tensors(step), **values})
        except (ValueError, KeyError, RuntimeError, TypeError, IndexError) as error:
            raise UnknownGraph(f"{node.op_type} {node.name or node.output[0]}: {error}") from error
        self.steps.append(step)
        values.update(zip(step.outputs, found, strict=True))

    def _value(self, name: str, values: Mapping[str, Value]) -> Value:
        if not name:
            return None
        if name in values:
            return values[name]
        if name not in self.constants:
            raise UnknownGraph(f"{name} is read before it is computed")
        return self.constants[name]

    def _folded(self, node: Any, given: list[Any]) -> list[Array]:
        """What a node of constants gives, by ONNX's own reference."""
        import onnx
        from onnx.reference import ReferenceEvaluator

        def described(name: str) -> Any:
            return onnx.helper.make_tensor_value_info(name, 0, None)

        # No types: they are those of the arrays.
        named = dict(zip(node.input, given, strict=True))
        named = {name: value for name, value in named.items() if name}
        graph = onnx.helper.make_graph(
            [node], "folded", list(map(described, named)), list(map(described, node.output))
        )
        model = onnx.helper.make_model(graph, opset_imports=self._opsets)
        try:
            result: Any = ReferenceEvaluator(model).run(None, named)
        except Exception as error:  # the reference raises many classes for what it does not know
            raise UnknownGraph(f"{node.op_type} {node.name}: {error}") from error
        return [np.asarray(array) for array in result]

    def _step(self, node: Any, given: list[Any]) -> Step:
        import onnx

        attributes = {
            entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute
        }
        attributes = {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in attributes.items()
        }
        kind, inputs = node.op_type, tuple(node.input)
        if kind == "Cast" and attributes.get("to") in ONNX_FLOATS:
            kind = "Identity"  # the precision is this module's choice, not the graph's
        if kind == "Dropout":
            kind, inputs = "Identity", inputs[:1]
        if kind not in OPERATORS:
            raise UnknownGraph(f"operator {node.op_type} is not known")
        if kind == "Split":
            attributes["outputs"] = len(node.output)
        for place in NUMBERS.get(kind, ()):
            if place < len(given) and isinstance(given[place], Tensor):
                raise UnknownGraph(f"{kind} {node.name}: a shape or an index depends on the sound")
        outputs = tuple(node.output) if kind == "Split" else tuple(node.output[:1])
        return Step(kind, inputs, outputs, attributes)

    def _tensors(self, step: Step) -> dict[str, Any]:
        """The constants of a step as it wants them."""
        return {
            name: as_operand(step, place, self.constants[name])
            for place, name in enumerate(step.inputs)
            if name in self.constants
        }


def as_operand(step: Step, place: int, array: Array) -> Any:
    """A constant as an operator takes it: numbers as they are, all else as a tensor."""
    number = place in NUMBERS.get(step.kind, ())
    if number and not (step.kind == "Gather" and array.ndim):
        return array
    return torch.from_numpy(np.array(array))


def _single(array: Array) -> Array:
    """Floats of any width in single precision."""
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array


def uses(graph: Graph) -> dict[str, list[Step]]:
    """Which steps read each value."""
    found: dict[str, list[Step]] = {graph.result: []}
    for step in graph.steps:
        for name in step.inputs:
            found.setdefault(name, []).append(step)
    return found


def live(graph: Graph) -> Iterator[str]:
    """The constants that some step reads."""
    read = {name for step in graph.steps for name in step.inputs}
    return (name for name in graph.constants if name in read)
