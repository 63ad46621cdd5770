"""Batches of several viewers: each gets its own face and its own motion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from torch import Tensor

from ditto_avatar.face.ditto.composite import Backdrop, Box
from ditto_avatar.face.ditto.pipeline import ClipJob, FrameJob, Pipeline, SourcePicture
from ditto_avatar.face.ditto.runtime.base import ClipRunner, FrameRunner, Runners
from ditto_avatar.face.ditto.sampler import SeededNoise
from ditto_avatar.face.ditto.windows import ClipRequest
from ditto_avatar.types import ByteArray

CPU = torch.device("cpu")
BOXES = (Box(2, 4, 8, 6), Box(6, 2, 4, 4))  # in pictures of 24 by 16 pixels


def unused(*inputs: Any, **named: Any) -> NoReturn:
    raise AssertionError("no network but the one under test should run")


def pipeline(
    frame: FrameRunner = unused, clip: ClipRunner = unused, device: torch.device = CPU
) -> Pipeline:
    runners = Runners("fake", device, torch.float32, unused, unused, unused, frame, clip)
    return Pipeline(runners, steps=4)


def grey_faces(volume: Tensor, compressed: Tensor, source: Tensor, driving: Tensor) -> Tensor:
    """One grey a face, to which everything that came for it adds its part."""
    parts = [tensor.flatten(1).mean(1) for tensor in (volume, compressed, source, driving)]
    return (sum(parts, torch.zeros_like(parts[0])) / 255)[:, None, None, None].expand(
        -1, 3, 512, 512
    )


def frame_job(index: int, device: torch.device = CPU) -> FrameJob:
    """Its face has the grey 20 times `index`, its picture 100 + 4 times `index`; half of the face
    shows."""
    box = BOXES[index % 2]
    backdrop = Backdrop(
        box,
        grid=torch.zeros(box.height, box.width, 2, device=device),
        mask=torch.full((1, box.height, box.width), 0.5, device=device),
        picture=torch.full((3, box.height, box.width), 100.0 + 4 * index, device=device),
        yuv=np.full((24, 24), index, np.uint8),
    )

    def volume(channels: int) -> Tensor:
        return torch.full((1, channels, 2, 2, 2), 5.0 * index, device=device)

    points = np.full((21, 3), 5 * index, np.float32)
    return FrameJob(SourcePicture(volume(32), volume(4), backdrop), points, points)


def expected_frame(index: int) -> ByteArray:
    box, frame = BOXES[index % 2], np.full((24, 24), index, np.uint8)
    grey = (20 * index + 100 + 4 * index) / 2
    frame[box.top : box.top + box.height, box.left : box.left + box.width] = round(
        16 + 219 * grey / 255
    )
    for plane in frame[16:].reshape(2, 8, 12):
        plane[
            box.top // 2 : (box.top + box.height) // 2, box.left // 2 : (box.left + box.width) // 2
        ] = 128
    return frame


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (3, 4, 0, 1, 2), (1, 1, 0), (0, 2, 4)])
def test_every_viewer_gets_its_own_face_whatever_boxes_share_the_batch(
    order: tuple[int, ...],
) -> None:
    frames = pipeline(frame=grey_faces).render([frame_job(index) for index in order])
    assert len(frames) == len(order)
    for index, frame in zip(order, frames, strict=True):
        assert np.array_equal(frame, expected_frame(index)), index


def traced_clips(condition: Tensor, first: Tensor, start: Tensor, noises: Tensor) -> Tensor:
    """Clips that show which condition, row, start and draws they were made of, and in which
    order the draws came."""
    return condition[..., :1] + first[:, None] + start + noises.cumsum(0).sum(0)


def clip_job(viewer: int) -> ClipJob:
    request = ClipRequest(
        np.full((80, 1103), 100 * viewer, np.float32),
        np.full(265, 1_000 * viewer, np.float32),
        clip=7 - viewer,
    )
    return ClipJob(request, SeededNoise(viewer, (80, 265), CPU))


@pytest.mark.parametrize("steps", [None, 1, 3])
def test_every_viewer_gets_the_clip_of_its_own_noise(steps: int | None) -> None:
    jobs = [clip_job(viewer) for viewer in (2, 0, 1)]
    clips = pipeline(clip=traced_clips).predict(jobs, steps)
    assert len(clips) == 3
    for job, clip in zip(jobs, clips, strict=True):
        draws = job.noise.between(steps or 4)
        expected = job.noise.start(job.request.clip) + draws.cumsum(0).sum(0)
        expected += torch.from_numpy(job.request.condition[:, :1] + job.request.start)
        assert np.allclose(clip, expected.numpy(), atol=1e-3)


@contextmanager
def no_waiting() -> Iterator[None]:
    """Whatever waits for the GPU raises."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_beginning_a_batch_does_not_wait_for_the_gpu() -> None:
    device = torch.device("cuda")
    drawing = pipeline(frame=grey_faces, device=device)
    jobs = [frame_job(index, device) for index in range(5)]
    drawing.render(jobs)  # what the first batch of all prepares may wait
    with no_waiting():
        begun = drawing.begin(jobs)
    for index, frame in enumerate(begun.frames()):
        assert np.array_equal(frame, expected_frame(index))
