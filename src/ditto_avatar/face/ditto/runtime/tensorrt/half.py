"""Half precision on a processor that has none.

The exporter runs what it writes down. A processor needs an hour for one picture's convolutions in
half precision, so they are computed in single precision here and written as what they are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

Convolution = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, conv: Convolution
    ) -> Tensor:
        result = torch.convolution(
            x.float(),
            weight.float(),
            None if bias is None else bias.float(),
            conv.stride,
            [int(side) for side in conv.padding],
            conv.dilation,
            isinstance(conv, nn.ConvTranspose2d),
            conv.output_padding,
            conv.groups,
        )
        return result.to(x.dtype)

    @staticmethod
    def symbolic(g: Any, x: Any, weight: Any, bias: Any, conv: Convolution) -> Any:
        """The operator in ONNX, whose pads are those before all axes, then those behind."""
        attributes: dict[str, Any] = {
            "kernel_shape_i": list(conv.kernel_size),
            "strides_i": list(conv.stride),
            "dilations_i": list(conv.dilation),
            "pads_i": [int(side) for side in conv.padding] * 2,
            "group_i": conv.groups,
        }
        operator = "Conv"
        if isinstance(conv, nn.ConvTranspose2d):
            operator = "ConvTranspose"
            attributes["output_padding_i"] = list(conv.output_padding)
        parts = (x, weight) if conv.bias is None else (x, weight, bias)
        return g.op(operator, *parts, **attributes)


class QuickConvolution(nn.Module):
    """A convolution of the same weights."""

    def __init__(self, conv: Convolution) -> None:
        super().__init__()
        self.weight = conv.weight
        self.bias = conv.bias
        # Held where it is no part of this module: its weights are given to each call.
        self._conv = (conv,)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = _Convolve.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.bias, self._conv[0]
        )
        return result


def halved(module: nn.Module) -> nn.Module:
    """`module` itself in half precision, ready to be exported."""
    for name, part in list(module.named_modules()):
        if isinstance(part, Convolution):
            module.set_submodule(name, QuickConvolution(part))
    return module.half()
