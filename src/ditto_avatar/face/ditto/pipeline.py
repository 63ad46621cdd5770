"""Tensors in, frames out: everything between a clip's conditions and its pictures.

Stateless and blocking; what belongs to a viewer lives in its stream, and the engine calls
from a worker thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ditto_avatar.face.ditto.composite import Backdrop, blend, paste, to_i420
from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.sampler import Noise
from ditto_avatar.face.ditto.source import crop_tensor
from ditto_avatar.face.ditto.transfer import Download, upload
from ditto_avatar.face.ditto.windows import ClipRequest
from ditto_avatar.types import ByteArray, FloatArray


@dataclass(frozen=True, slots=True)
class SourcePicture:
    """A source frame on the device: its feature volume (1, 32, 16, 64, 64), what the warp network
    made of it (1, 4, 16, 64, 64), and the picture it belongs to."""

    volume: Tensor
    compressed: Tensor
    backdrop: Backdrop

    @property
    def bytes(self) -> int:
        parts = (self.volume, self.compressed, self.backdrop.grid, self.backdrop.mask)
        tensors = (*parts, self.backdrop.picture)
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@dataclass(frozen=True, slots=True)
class FrameJob:
    """A frame to draw: from where, and the keypoints (21, 3) of source and drive."""

    picture: SourcePicture
    source: FloatArray
    driving: FloatArray


@dataclass(frozen=True, slots=True)
class ClipJob:
    """A clip to predict, with the noise of the viewer it is for."""

    request: ClipRequest
    noise: Noise


class Drawing:
    """Frames on their way from the device: one copy for each size of box."""

    def __init__(self, jobs: Sequence[FrameJob], parts: Sequence[tuple[list[int], Tensor]]) -> None:
        self._drops = [job.picture.backdrop for job in jobs]
        self._members = [members for members, _ in parts]
        self._download = Download([part for _, part in parts])

    def frames(self) -> list[ByteArray]:
        """The pictures in the order of the jobs; waits for the device."""
        frames: dict[int, ByteArray] = {}
        for members, part in zip(self._members, self._download.arrays(), strict=True):
            for index, pixels in zip(members, part, strict=True):
                drop = self._drops[index]
                frames[index] = paste(drop.yuv, drop.box, pixels)
        return [frames[index] for index in range(len(frames))]


def _upload(arrays: Sequence[FloatArray], device: torch.device) -> Tensor:
    """The arrays stacked on the device."""
    return upload(torch.from_numpy(np.stack(arrays)), device)


class Pipeline:
    """The networks of one device, in the order they are used."""

    def __init__(self, runners: Runners, steps: int) -> None:
        self.runners = runners
        self._steps = steps

    def predict(self, jobs: Sequence[ClipJob], steps: int | None = None) -> list[FloatArray]:
        """The motion (80, 265) of each clip, all in one batch, in the usual number of diffusion
        steps or in `steps`."""
        return self.begin_clips(jobs, steps)()

    @torch.inference_mode()
    def begin_clips(
        self, jobs: Sequence[ClipJob], steps: int | None = None
    ) -> Callable[[], list[FloatArray]]:
        """Start to predict; the result waits for the device."""
        device, count = self.runners.device, steps or self._steps
        condition = _upload([job.request.condition for job in jobs], device)
        first = _upload([job.request.start for job in jobs], device)
        start = upload(torch.stack([job.noise.start(job.request.clip) for job in jobs]), device)
        noises = torch.stack([job.noise.between(count) for job in jobs], dim=1)
        clips = Download([self.runners.clip(condition, first, start, noises).float()])
        return lambda: list(clips.arrays()[0].copy())

    @torch.inference_mode()
    def features(self, crops: Sequence[ByteArray]) -> list[tuple[Tensor, Tensor]]:
        """Volume and compressed volume of each crop (256, 256, 3)."""
        runners = self.runners
        volumes = runners.appearance(crop_tensor(crops, runners.device))
        compressed = runners.compress(volumes)
        return [
            (volumes[i : i + 1].clone(), compressed[i : i + 1].clone()) for i in range(len(crops))
        ]

    @torch.inference_mode()
    def render(self, jobs: Sequence[FrameJob]) -> list[ByteArray]:
        """The frames as I420 (h * 3 / 2, w), in the order of the jobs."""
        return self.begin(jobs).frames()

    @torch.inference_mode()
    def begin(self, jobs: Sequence[FrameJob]) -> Drawing:
        """Start to draw; on a GPU this returns while the GPU still works."""
        faces = self.draw(jobs)
        sizes: dict[tuple[int, int], list[int]] = {}
        for index, job in enumerate(jobs):
            box = job.picture.backdrop.box
            sizes.setdefault((box.height, box.width), []).append(index)
        parts = []
        for members in sizes.values():
            drops = [jobs[index].picture.backdrop for index in members]
            # A stack of slices is made on the device alone; `faces[members]` would copy the
            # indices there and wait until the faces are drawn.
            blended = blend(
                torch.stack([faces[index] for index in members]) if len(sizes) > 1 else faces,
                torch.stack([drop.grid for drop in drops]),
                torch.stack([drop.mask for drop in drops]),
                torch.stack([drop.picture for drop in drops]),
            )
            parts.append((members, to_i420(blended)))
        return Drawing(jobs, parts)

    @torch.inference_mode()
    def draw(self, jobs: Sequence[FrameJob]) -> Tensor:
        """The faces (b, 3, 512, 512) in 0..1, on the device."""
        runners = self.runners
        return runners.frame(
            torch.cat([job.picture.volume for job in jobs]),
            torch.cat([job.picture.compressed for job in jobs]),
            _upload([job.source for job in jobs], runners.device),
            _upload([job.driving for job in jobs], runners.device),
        )
