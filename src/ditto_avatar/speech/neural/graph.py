"""Make inner values of an ONNX model its outputs, without a library: a few bytes are appended.

A protobuf message may be written in parts: what stands at the end is merged into it. So a further
``ModelProto { graph { output { name, type } } }`` behind a model's bytes adds an output.
"""

from __future__ import annotations

FLOAT, INT64 = 1, 7
"""Types of elements in ONNX's TensorProto.DataType."""

# Numbers of the fields in onnx.proto.
_GRAPH, _OUTPUT, _NAME, _TYPE, _TENSOR, _ELEMENT = 7, 12, 1, 2, 1, 1
_BYTES = 2


def extra_output(name: str, element: int) -> bytes:
    """Return the bytes that make the inner value `name` an output, of `element`'s type and any
    shape, when they are appended to a model."""
    tensor = _number(_ELEMENT << 3) + _number(element)
    kind = _field(_TYPE, _field(_TENSOR, tensor))
    return _field(_GRAPH, _field(_OUTPUT, _field(_NAME, name.encode()) + kind))


def _number(value: int) -> bytes:
    """Write a varint."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return _number(number << 3 | _BYTES) + _number(len(content)) + content
