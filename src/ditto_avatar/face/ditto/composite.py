"""The drawn face goes back into its picture, and the picture becomes I420.

Only a box around the face changes. What is needed for it is prepared once per source frame and
stays on the device: where each pixel of the box looks into the drawn face, how much of it shows,
and the box of the source picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ditto_avatar.media.colour import RGB_TO_YUV, YUV_OFFSET
from ditto_avatar.types import ByteArray, FloatArray

FACE_SIZE = 512
FEATHER = 0.05  # of each side


@cache
def feather_mask(size: int = FACE_SIZE) -> FloatArray:
    """How much of the drawn face shows, (size, size): 1 inside, falling to 0 at the border.

    The sides fall linearly, the corners with the distance to the inner corner."""
    inner = int(size * (1 - 2 * FEATHER))
    before = (size - inner) // 2
    after = size - before - inner
    ramp = np.concatenate(
        [np.linspace(1, 0, before), np.zeros(inner), np.linspace(0, 1, after)]
    ).astype(np.float32)
    away = np.hypot(ramp[:, None], ramp[None, :])
    mask = 1 - np.clip(away, 0, 1)
    mask.setflags(write=False)
    return mask.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture: left, top, width, height in pixels, all even, so that chroma fits."""

    left: int
    top: int
    width: int
    height: int


def face_box(matrices: FloatArray, width: int, height: int) -> tuple[Box, ...]:
    """For each crop-to-picture matrix (n, 3, 3) the box that its face can change; all boxes of a
    source have one size, so that they fit into one batch."""
    corners = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]], np.float32)
    corners[:, :2] *= FACE_SIZE
    places = np.einsum("nij,kj->nki", matrices[:, :2], corners)
    low = np.floor(places.min(axis=1)).astype(int) - 1
    high = np.ceil(places.max(axis=1)).astype(int) + 2
    limit = np.array([width, height])
    low, high = np.clip(low, 0, limit) // 2 * 2, np.clip(high, 0, limit)
    size = np.minimum((high - low).max(axis=0) + 1, limit) // 2 * 2
    low = np.minimum(low, limit - size)
    return tuple(Box(int(x), int(y), int(size[0]), int(size[1])) for x, y in low)


@dataclass(frozen=True, slots=True)
class Backdrop:
    """A source picture ready to receive its face: `grid` (h, w, 2) and `mask` (1, h, w) of the
    box, `picture` (3, h, w) the box's pixels 0..255, float32 on the device; `yuv` the whole
    picture as I420 on the host."""

    box: Box
    grid: Tensor
    mask: Tensor
    picture: Tensor
    yuv: ByteArray

    def on(self, device: torch.device) -> Backdrop:
        """The same with its tensors on a device."""
        tensors = (self.grid.to(device), self.mask.to(device), self.picture.to(device))
        return Backdrop(self.box, *tensors, self.yuv)


def box_grid(matrix: FloatArray, box: Box) -> npt.NDArray[np.float64]:
    """Where in the drawn face the pixels of `box` look, (h, w, 2) in its pixels; `matrix` (3, 3)
    leads from the crop to the picture."""
    back = np.linalg.inv(matrix.astype(np.float64))
    columns, rows = np.meshgrid(box.left + np.arange(box.width), box.top + np.arange(box.height))
    return np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ back[:2].T


def prepare(
    picture: ByteArray, yuv: ByteArray, matrix: FloatArray, box: Box, device: torch.device
) -> Backdrop:
    """The backdrop for a source picture (h, w, 3) RGB and the same as I420."""
    places = box_grid(matrix, box)
    # grid_sample(align_corners=False): -1 and 1 are the outer edges of the outer pixels.
    grid = torch.from_numpy(((places + 0.5) * 2 / FACE_SIZE - 1).astype(np.float32))[None]
    mask = torch.from_numpy(feather_mask().copy())[None, None]
    mask = F.grid_sample(mask, grid, align_corners=False)[0].clamp(0, 1)
    part = picture[box.top : box.top + box.height, box.left : box.left + box.width]
    pixels = torch.from_numpy(np.ascontiguousarray(part)).permute(2, 0, 1).float()
    return Backdrop(box, grid[0].to(device), mask.to(device), pixels.contiguous().to(device), yuv)


def blend(faces: Tensor, grid: Tensor, mask: Tensor, picture: Tensor) -> Tensor:
    """Faces (b, 3, 512, 512) in 0..1 into boxes (b, 3, h, w); the result is 0..255."""
    placed = F.grid_sample(faces.float() * 255, grid, align_corners=False)
    return torch.lerp(picture, placed, mask).clamp(0, 255)


@cache
def _yuv_weights(device: torch.device) -> tuple[Tensor, Tensor]:
    """Matrix (3, 3) and offsets (3,) on the device, so that no frame waits for them."""
    return torch.tensor(RGB_TO_YUV, device=device) / 255, torch.tensor(YUV_OFFSET, device=device)


def to_i420(picture: Tensor) -> Tensor:
    """RGB (b, 3, h, w) in 0..255 to I420 (b, h * 3 / 2, w), uint8."""
    matrix, offset = _yuv_weights(picture.device)
    height, width = picture.shape[2:]
    luma = torch.einsum("c,bchw->bhw", matrix[0], picture) + offset[0]
    small = F.avg_pool2d(picture, 2)
    chroma = torch.einsum("kc,bchw->bkhw", matrix[1:], small) + offset[1:, None, None]
    planes = torch.cat([luma, chroma.reshape(-1, height // 2, width)], dim=1)
    return planes.round().to(torch.uint8)


def paste(yuv: ByteArray, box: Box, part: ByteArray) -> ByteArray:
    """A copy of the I420 picture `yuv` with a box replaced by an I420 picture of its size."""
    height, width = yuv.shape[0] * 2 // 3, yuv.shape[1]
    result = yuv.copy()
    result[box.top : box.top + box.height, box.left : box.left + box.width] = part[: box.height]
    planes = result[height:].reshape(2, height // 2, width // 2)
    top, left = box.top // 2, box.left // 2
    planes[:, top : top + box.height // 2, left : left + box.width // 2] = part[
        box.height :
    ].reshape(2, box.height // 2, box.width // 2)
    return result
