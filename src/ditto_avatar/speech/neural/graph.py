"""Make inner values of an ONNX model its outputs, and cut it in two, without a library and without
copying its weights.

A protobuf message may be written in parts: what stands at the end is merged into it. So a further
``ModelProto { graph { output { name, type } } }`` behind a model's bytes adds an output. A network
whose second half looks at short stretches of a value only can run that half piece by piece.
The child process runs this file as well.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

FLOAT, INT64 = 1, 7
"""Types of elements in ONNX's TensorProto.DataType."""

# Numbers of the fields in onnx.proto: of a model, a graph, a node, an attribute, and a value.
_GRAPH = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 1, 5, 11, 12, 13
_NODE_INPUT, _NODE_OUTPUT, _ATTRIBUTE = 1, 2, 5
_INNER_GRAPHS = (6, 11)
_TENSOR_NAME = 8
_NAME, _TYPE, _TENSOR, _ELEMENT = 1, 2, 1, 1
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5

_Piece = memoryview | bytes


class Halves(NamedTuple):
    """A model before and after a value, each in pieces that make it up one behind the other."""

    before: Sequence[_Piece]
    after: Sequence[_Piece]


class _Field(NamedTuple):
    number: int
    whole: memoryview
    content: memoryview


class _Node(NamedTuple):
    whole: memoryview
    inputs: set[str]
    outputs: set[str]


def extra_output(name: str, element: int) -> bytes:
    """Return the bytes that make the inner value `name` an output, of `element`'s type and any
    shape, when they are appended to a model."""
    return _field(_GRAPH, _value_field(_OUTPUT, name, element))


def mapped(path: str | Path) -> memoryview:
    """Map a file into memory; it is let go when the last view of it is. Raises `OSError`, and
    `ValueError` for an empty file."""
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def cut(model: memoryview, value: str, element: int, extras: Iterable[str] = ()) -> Halves:
    """Cut `model` at the inner value `value`, of `element`'s type.

    The first half gives `value` and those of `extras`, as outputs without shapes; the second one
    takes `value` and gives what the model gives. Raises `ValueError` where the second half needs
    anything else of the first one, and for what is no model."""
    try:
        fields = list(_fields(model))
        (body,) = (field for field in fields if field.number == _GRAPH)
        inside = list(_fields(body.content))
        nodes = [_node(field) for field in inside if field.number == _NODE]
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("This is no model.") from error
    makers = {name: index for index, node in enumerate(nodes) for name in node.outputs}
    if value not in makers:
        raise ValueError(f"The model has no value {value}.")
    results = {_name(field, _NAME) for field in inside if field.number == _OUTPUT}
    wanted = [value, *(name for name in extras if name in makers)]
    first = _needed(nodes, makers, wanted, None)
    second = _needed(nodes, makers, results, value)
    constants = {_name(field, _TENSOR_NAME) for field in inside if field.number == _INITIALIZER}
    strange = _used(nodes, second) - constants - makers.keys() - {value, ""}
    if strange or makers[value] in second or not second:
        raise ValueError(f"More than {value} goes from one half to the other.")
    head = [field.whole for field in fields if field.number != _GRAPH]
    outputs: list[_Piece] = [_value_field(_OUTPUT, name, element) for name in wanted]
    given: list[_Piece] = [_value_field(_INPUT, value, element)]
    before = [*outputs, *_kept(inside, nodes, first, _OUTPUT)]
    after = [*given, *_kept(inside, nodes, second, _INPUT)]
    return Halves([*head, *_as_graph(before)], [*head, *_as_graph(after)])


def _needed(
    nodes: Sequence[_Node], makers: dict[str, int], wanted: Iterable[str], stop: str | None
) -> set[int]:
    """Find the nodes that `wanted` is made by, those that only `stop` needs left out."""
    found: set[int] = set()
    open_names = [name for name in wanted if name != stop]
    while open_names:
        index = makers.get(open_names.pop())
        if index is not None and index not in found:
            found.add(index)
            open_names += [name for name in nodes[index].inputs if name != stop]
    return found


def _used(nodes: Sequence[_Node], chosen: set[int]) -> set[str]:
    return {name for index in chosen for name in nodes[index].inputs}


def _kept(
    inside: Sequence[_Field], nodes: Sequence[_Node], chosen: set[int], dropped: int
) -> Iterator[memoryview]:
    """The fields of a graph with the `chosen` nodes, and without those of the number `dropped`."""
    used = _used(nodes, chosen)
    yield from (nodes[index].whole for index in sorted(chosen))
    for field in inside:
        if field.number in (_NODE, _VALUE_INFO, dropped):
            continue
        if field.number == _INITIALIZER and _name(field, _TENSOR_NAME) not in used:
            continue
        yield field.whole


def _as_graph(pieces: Sequence[_Piece]) -> list[_Piece]:
    return [_header(_GRAPH, sum(len(piece) for piece in pieces)), *pieces]


def _node(field: _Field) -> _Node:
    inputs, outputs = set(), set()
    for part in _fields(field.content):
        if part.number == _NODE_INPUT:
            inputs.add(_text(part))
        elif part.number == _NODE_OUTPUT:
            outputs.add(_text(part))
        elif part.number == _ATTRIBUTE:
            inputs |= _captured(part)
    return _Node(field.whole, inputs, outputs)


def _captured(attribute: _Field) -> set[str]:
    """What the nodes of inner graphs take; their own values among it do no harm."""
    return {
        name
        for inner in _fields(attribute.content)
        if inner.number in _INNER_GRAPHS
        for field in _fields(inner.content)
        if field.number == _NODE
        for name in _node(field).inputs
    }


def _name(field: _Field, number: int) -> str:
    return next((_text(part) for part in _fields(field.content) if part.number == number), "")


def _text(field: _Field) -> str:
    return bytes(field.content).decode()


def _value_field(number: int, name: str, element: int) -> bytes:
    """Return the field `number` of a graph that describes a value of `element`'s type and any
    shape: ``input`` or ``output``."""
    tensor = _number(_ELEMENT << 3) + _number(element)
    kind = _field(_TYPE, _field(_TENSOR, tensor))
    return _field(number, _field(_NAME, name.encode()) + kind)


def _header(number: int, size: int) -> bytes:
    """Return what stands before the `size` bytes of the field `number`."""
    return _number(number << 3 | _BYTES) + _number(size)


def _number(value: int) -> bytes:
    """Write a varint."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return _header(number, len(content)) + content


def _fields(data: memoryview) -> Iterator[_Field]:
    """Take a protobuf message apart. Raises `ValueError` and `IndexError` for what is none."""
    at = 0
    while at < len(data):
        start = at
        key, at = _read_number(data, at)
        kind = key & 7
        if kind == _BYTES:
            size, at = _read_number(data, at)
        elif kind == _VARINT:
            size, at = 0, _read_number(data, at)[1]
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError("This is no model.")
        if at + size > len(data):
            raise ValueError("The model is cut short.")
        yield _Field(key >> 3, data[start : at + size], data[at : at + size])
        at += size


def _read_number(data: memoryview, at: int) -> tuple[int, int]:
    """Read a varint; returns it and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
