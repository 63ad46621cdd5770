"""The ONNX operators of an audio encoder, as torch functions.

Each takes its inputs in ONNX's order, None for one that is left out, and the node's attributes.
Inputs that ONNX gives as tensors but torch as numbers (shapes, axes, indices) come as arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Attributes = Mapping[str, Any]
Operator = Callable[..., Any]


def _numbers(value: Any) -> list[int]:
    return [int(number) for number in np.asarray(value).reshape(-1)]


def _conv(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise ValueError(f"padding {attributes['auto_pad']} is not known")
    spatial = weight.dim() - 2
    pads = attributes.get("pads", [0] * 2 * spatial)
    strides = attributes.get("strides", [1] * spatial)
    dilations = attributes.get("dilations", [1] * spatial)
    groups = attributes.get("group", 1)
    before, after = pads[:spatial], pads[spatial:]
    if before != after:
        order = [side for pair in zip(before, after, strict=True) for side in pair]
        x, before = F.pad(x, [*reversed(order)]), [0] * spatial
    run = {1: F.conv1d, 2: F.conv2d}[spatial]
    result: Tensor = run(x, weight, bias, strides, before, dilations, groups)
    return result


def _gemm(attributes: Attributes, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a = a.mT if attributes.get("transA") else a
    b = b.mT if attributes.get("transB") else b
    result: Tensor = attributes.get("alpha", 1.0) * (a @ b)
    return result if c is None else result + attributes.get("beta", 1.0) * c


def _layer_norm(
    attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    if attributes.get("axis", -1) not in (-1, x.dim() - 1):
        raise ValueError("only a norm over the last axis is known")
    return F.layer_norm(x, weight.shape, weight, bias, attributes.get("epsilon", 1e-5))


def _instance_norm(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x, weight=weight, bias=bias, eps=attributes.get("epsilon", 1e-5))


def _softmax(attributes: Attributes, x: Tensor) -> Tensor:
    return torch.softmax(x, attributes.get("axis", -1))


def _gelu(attributes: Attributes, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=attributes.get("approximate", "none"))


def _reduce(call: Callable[..., Tensor]) -> Operator:
    def run(attributes: Attributes, x: Tensor, axes: Any = None) -> Tensor:
        where = _numbers(axes) if axes is not None else attributes.get("axes")
        where = list(range(x.dim())) if where is None else list(where)
        return call(x, dim=where, keepdim=bool(attributes.get("keepdims", 1)))

    return run


def _reshape(attributes: Attributes, x: Tensor, shape: Any) -> Tensor:
    wanted = _numbers(shape)
    if not attributes.get("allowzero"):
        wanted = [x.shape[i] if side == 0 else side for i, side in enumerate(wanted)]
    return x.reshape(wanted)


def _transpose(attributes: Attributes, x: Tensor) -> Tensor:
    return x.permute(attributes.get("perm", list(reversed(range(x.dim())))))


def _unsqueeze(attributes: Attributes, x: Tensor, axes: Any = None) -> Tensor:
    where = _numbers(axes) if axes is not None else attributes["axes"]
    rank = x.dim() + len(where)
    for axis in sorted(axis % rank for axis in where):
        x = x.unsqueeze(axis)
    return x


def _squeeze(attributes: Attributes, x: Tensor, axes: Any = None) -> Tensor:
    where = _numbers(axes) if axes is not None else attributes.get("axes")
    if where is None:
        where = [axis for axis, side in enumerate(x.shape) if side == 1]
    for axis in sorted((axis % x.dim() for axis in where), reverse=True):
        x = x.squeeze(axis)
    return x


def _slice(attributes: Attributes, x: Tensor, *bounds: Any) -> Tensor:
    if bounds:
        starts, ends = _numbers(bounds[0]), _numbers(bounds[1])
        axes = _numbers(bounds[2]) if len(bounds) > 2 and bounds[2] is not None else None
        steps = _numbers(bounds[3]) if len(bounds) > 3 and bounds[3] is not None else None
    else:
        starts, ends = attributes["starts"], attributes["ends"]
        axes, steps = attributes.get("axes"), None
    axes = axes or list(range(len(starts)))
    for axis, start, end, step in zip(axes, starts, ends, steps or [1] * len(axes), strict=True):
        if step < 1:
            raise ValueError("slices that run backwards are not known")
        first, last, _ = slice(start, end, step).indices(x.shape[axis])
        x = x.narrow(axis, first, max(last - first, 0))
        if step > 1:
            x = x[(slice(None),) * (axis % x.dim()) + (slice(None, None, step),)]
    return x


def _concat(attributes: Attributes, *parts: Tensor) -> Tensor:
    return torch.cat(parts, dim=attributes["axis"])


def _split(attributes: Attributes, x: Tensor, sizes: Any = None) -> tuple[Tensor, ...]:
    axis = attributes.get("axis", 0)
    lengths = _numbers(sizes) if sizes is not None else attributes.get("split")
    if lengths is None:
        lengths = [x.shape[axis] // attributes["outputs"]] * attributes["outputs"]
    return torch.split(x, list(lengths), dim=axis)


def _gather(attributes: Attributes, x: Tensor, indices: Any) -> Tensor:
    """`indices` is a tensor on the device unless it is one number."""
    axis = attributes.get("axis", 0) % x.dim()
    if not isinstance(indices, Tensor):
        return x.select(axis, int(indices))
    taken = x.index_select(axis, indices.reshape(-1) % x.shape[axis])
    return taken.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def _expand(attributes: Attributes, x: Tensor, shape: Any) -> Tensor:
    wanted: torch.Size = torch.broadcast_shapes(  # type: ignore[no-untyped-call]
        x.shape, tuple(_numbers(shape))
    )
    return x.expand(wanted)


def _pad(attributes: Attributes, x: Tensor, pads: Any, value: Any = None, axes: Any = None) -> Any:
    if attributes.get("mode", "constant") not in ("constant", b"constant") or axes is not None:
        raise ValueError("only padding with a constant is known")
    numbers = _numbers(pads)
    rank = len(numbers) // 2
    pairs = [(numbers[axis], numbers[rank + axis]) for axis in reversed(range(rank))]
    filled = 0.0 if value is None else float(np.asarray(value).reshape(-1)[0])
    return F.pad(x, [side for pair in pairs for side in pair], value=filled)


def _clip(attributes: Attributes, x: Tensor, low: Any = None, high: Any = None) -> Tensor:
    def bound(value: Any, name: str) -> float | None:
        value = attributes.get(name) if value is None else value
        return None if value is None else float(np.asarray(value).reshape(-1)[0])

    return x.clamp(bound(low, "min"), bound(high, "max"))


def _linear(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Ours: a product with a constant (n, k) and the bias added to it."""
    return F.linear(x, weight, bias)


def _elementwise(call: Callable[..., Tensor]) -> Operator:
    return lambda attributes, *inputs: call(*inputs)


OPERATORS: Mapping[str, Operator] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "LayerNormalization": _layer_norm,
    "InstanceNormalization": _instance_norm,
    "Softmax": _softmax,
    "Gelu": _gelu,
    "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum),
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Concat": _concat,
    "Split": _split,
    "Gather": _gather,
    "Expand": _expand,
    "Pad": _pad,
    "Clip": _clip,
    "Linear": _linear,
    "MatMul": _elementwise(torch.matmul),
    "Add": _elementwise(torch.add),
    "Sub": _elementwise(torch.sub),
    "Mul": _elementwise(torch.mul),
    "Div": _elementwise(torch.div),
    "Pow": _elementwise(torch.pow),
    "Where": _elementwise(torch.where),
    "Sqrt": _elementwise(torch.sqrt),
    "Reciprocal": _elementwise(torch.reciprocal),
    "Erf": _elementwise(torch.erf),
    "Exp": _elementwise(torch.exp),
    "Tanh": _elementwise(torch.tanh),
    "Sigmoid": _elementwise(torch.sigmoid),
    "Relu": _elementwise(torch.relu),
    "Abs": _elementwise(torch.abs),
    "Neg": _elementwise(torch.neg),
    "Identity": _elementwise(lambda x: x),
}
# Inputs by position that are numbers to torch: they must be constants.
NUMBERS: Mapping[str, tuple[int, ...]] = {
    "ReduceMean": (1,),
    "ReduceSum": (1,),
    "Reshape": (1,),
    "Unsqueeze": (1,),
    "Squeeze": (1,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Gather": (1,),
    "Expand": (1,),
    "Pad": (1, 2, 3),
    "Clip": (1, 2),
}
