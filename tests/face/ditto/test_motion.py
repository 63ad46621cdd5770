"""Whole motions, from conditions to stitched keypoints, against the reference implementation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pytest
import torch

from ditto_avatar.face.ditto import sampler
from ditto_avatar.face.ditto.condition import EMOTIONS, condition_rows, emotion_row
from ditto_avatar.face.ditto.driving import (
    Controls,
    DriveOptions,
    Driver,
    FrameControl,
    blink_frames,
    fades,
)
from ditto_avatar.face.ditto.layout import (
    TRANSLATION,
    IndexArray,
    SourceMotion,
    mean_filter,
    mirror_index,
)
from ditto_avatar.face.ditto.networks import ClipPath
from ditto_avatar.face.ditto.windows import (
    ClipRequest,
    MotionStream,
    WindowOptions,
    bounded,
    offline_motion,
)
from tests.face.ditto.reference import (
    MOTION_TOLERANCE,
    FloatArray,
    distance,
    given,
    golden,
    network,
    normal,
)

STEPS = 5
KEPT = slice(0, TRANSLATION.stop)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One of the reference's runs."""

    name: str
    sources: int
    rows: int
    emotions: tuple[tuple[int, ...], ...]
    windows: WindowOptions
    silent: int = 0
    bounds: FloatArray | None = None


CASES = {
    "video_offline": Case("video_offline", 40, 190, ((4,),), WindowOptions(10)),
    "video_online": Case(
        "video_online",
        40,
        175,
        ((4,),),
        WindowOptions(70, 1, KEPT),
        silent=70,
        bounds=np.array([[-0.1], [0.1]], np.float32),
    ),
    "video_online_emotion": Case(
        "video_online_emotion",
        24,
        120,
        ((3,), (4,), (3, 4), (5,)),
        WindowOptions(75, 2, KEPT),
        silent=75,
    ),
    "image_offline_controls": Case("image_offline_controls", 1, 160, ((3,),), WindowOptions(10)),
}


def moving_average(rows: FloatArray, taps: int) -> FloatArray:
    """Each column averaged over `taps` rows, zeros beyond the ends."""
    kernel = np.ones(taps) / taps
    columns = [np.convolve(column, kernel, mode="same") for column in rows.T]
    return np.stack(columns, axis=1).astype(np.float32)


@cache
def source_of(case: Case) -> SourceMotion:
    count = case.sources

    def draw(label: str, width: int) -> FloatArray:
        rows = normal(f"source/{case.name}/{label}", count, width)
        return moving_average(rows, 9) if count > 1 else rows

    scale = 1.2 + 0.02 * draw("scale", 1)
    pose = [draw(label, 66) for label in ("pitch", "yaw", "roll")]
    parts = [scale - 1, *pose, 0.05 * draw("t", 3), 0.02 * draw("exp", 63)]
    keypoints = 0.25 * normal(f"source/{case.name}/kp", 1, 63)
    eyes = [
        np.concatenate([normal(f"source/{case.name}/{label}{i}", 1, width) for i in range(count)])
        for label, width in (("eye_open", 2), ("eye_ball", 6))
    ]
    source = SourceMotion(
        np.concatenate(parts, axis=1).astype(np.float32),
        np.repeat(keypoints, count, axis=0),
        np.float32(0.9) + np.float32(0.1) * eyes[0],
        np.float32(0.1) * eyes[1],
        keypoints[0],
    )
    return source.smoothed() if count > 1 else source


def walk_of(case: Case) -> Callable[[IndexArray], IndexArray]:
    return partial(mirror_index, count=case.sources)


@cache
def conditions_of(case: Case) -> FloatArray:
    """All conditions: the silent start, the sound, and the last sound repeated for a while."""
    audio = moving_average(normal(f"aud/{case.name}", case.silent + case.rows, 1024), 5)
    audio = np.concatenate([audio, np.repeat(audio[-1:], 80, axis=0)])
    count = len(audio)
    turn = np.maximum(np.arange(count) - case.silent, 0) % len(case.emotions)
    shares = np.stack([emotion_row([EMOTIONS[i] for i in group]) for group in case.emotions])
    return condition_rows(audio, shares[turn], -case.silent, source_of(case), walk_of(case))


def predict(case: Case, request: ClipRequest) -> FloatArray:
    """One clip with the reference's random numbers: the steps' first, then one start a clip."""

    def noise(index: int) -> torch.Tensor:
        return given(f"{case.name}/noise{index}", 1, 80, 265)

    lmdm = network("lmdm")
    path = ClipPath(lmdm.encode, lmdm, sampler.schedule(STEPS))
    with torch.inference_mode():
        clip = path(
            torch.from_numpy(request.condition[None]),
            torch.from_numpy(request.start[None]),
            noise(STEPS - 1 + request.clip),
            torch.stack([noise(index) for index in range(STEPS - 1)]),
        )
    return np.asarray(clip[0])


Predict = Callable[[ClipRequest], FloatArray]


def advance(stream: MotionStream, answer: Predict) -> FloatArray:
    """Every row that the conditions so far allow."""
    while (request := stream.request()) is not None:
        stream.add(answer(request))
    return stream.take()


def finish(stream: MotionStream, case: Case, answer: Predict) -> FloatArray:
    """The remaining rows; sound after the end is the last sound, repeated."""
    stream.pad(conditions_of(case)[case.silent + case.rows :][: stream.missing])
    while (request := stream.request()) is not None:
        stream.add(answer(request))
    return stream.take(final=True)


def begin(case: Case) -> MotionStream:
    silence = conditions_of(case)[: case.silent]
    return MotionStream(case.windows, source_of(case).rows[0], silence)


@cache
def motion_of(case: Case) -> tuple[FloatArray, FloatArray | None]:
    """The motion and what it is relative to (None: its first row)."""
    answer = partial(predict, case)
    if not case.silent:
        source = source_of(case).rows[0]
        return offline_motion(conditions_of(case)[: case.rows], source, case.windows, answer), None
    stream = begin(case)
    stream.push(conditions_of(case)[case.silent :][: case.rows])
    rows = [advance(stream, answer), finish(stream, case, answer)]
    return np.concatenate(rows), stream.rest


def stitched(source: FloatArray, driving: FloatArray) -> FloatArray:
    with torch.inference_mode():
        moved = network("stitch_network")(torch.from_numpy(source), torch.from_numpy(driving))
    return np.asarray(moved)


def image_controls(count: int) -> tuple[Controls, IndexArray]:
    frames = fades(count, fade_in=5)
    for index in range(60, 80):
        frames[index] = FrameControl(pitch_offset=2, yaw_offset=-3, roll_offset=1)
    for index in range(90, 100):
        frames[index] = FrameControl(voice=0.4)
    for index in range(110, 115):
        frames[index] = FrameControl(yaw_factor=0.5)
    return Controls(frames=frames), blink_frames(count, 15, (30, 45))


@pytest.mark.parametrize("name", CASES)
def test_a_whole_run_gives_the_reference_motion(name: str) -> None:
    motion, _ = motion_of(CASES[name])
    assert len(motion) == CASES[name].rows
    assert distance(motion, golden(f"motion_{name}")["motion"][: len(motion)]) < MOTION_TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_driving_gives_the_reference_keypoints(name: str) -> None:
    case, expected = CASES[name], golden(f"motion_{name}")
    motion, rest = motion_of(case)
    motion = bounded(motion, case.bounds)
    rest = None if rest is None else bounded(rest[None], case.bounds)[0]
    count = len(motion)
    index = walk_of(case)(np.arange(count))
    controls, blink, options = Controls(), None, DriveOptions.for_video()
    if case.sources == 1:
        controls, blink = image_controls(count)
        options = DriveOptions.for_image(0.01 * normal("blink", 15, 63))
    if name == "video_online":
        controls = Controls(overall=FrameControl(pitch_offset=2))
    driver = Driver(source_of(case), options, rest)
    each = [controls.at(frame) for frame in range(count)]
    source, driving = driver.drive(motion, index, each, blink)
    assert np.array_equal(index, expected["source_index"][:count])
    assert distance(source, expected["x_s"][:count]) < MOTION_TOLERANCE
    assert distance(stitched(source, driving), expected["x_d"][:count]) < MOTION_TOLERANCE


def sketch(request: ClipRequest) -> FloatArray:
    """A cheap prediction that depends on all that a real one depends on."""
    mixed = request.condition @ MIX + 0.3 * request.start + 0.1 * request.clip
    return np.asarray(np.sin(mixed), np.float32)


MIX = 0.05 * normal("mix", 1103, 265)


@pytest.mark.parametrize("sizes", [(1, 2, 3, 5, 8, 13, 21, 34), (64, 40, 1), (7,) * 17])
@pytest.mark.parametrize("name", ["video_online", "video_online_emotion"])
def test_streaming_in_any_pieces_gives_the_same_motion(name: str, sizes: tuple[int, ...]) -> None:
    case = CASES[name]
    sound = conditions_of(case)[case.silent :][: case.rows]
    whole, pieces, rows, first = begin(case), begin(case), [], 0
    for size in sizes:
        pieces.push(sound[first : first + size])
        first += size
        rows.append(advance(pieces, sketch))
    assert any(len(part) for part in rows), "nothing was shown before the end"
    pieces.push(sound[first:])
    rows += [advance(pieces, sketch), finish(pieces, case, sketch)]
    whole.push(sound)
    expected = np.concatenate([advance(whole, sketch), finish(whole, case, sketch)])
    assert len(expected) == case.rows
    assert np.array_equal(np.concatenate(rows), expected)


@pytest.mark.parametrize("count", [1, 4, 9, 10, 11, 80])
def test_every_frame_of_short_sound_is_shown(count: int) -> None:
    case, stream = CASES["video_online"], begin(CASES["video_online"])
    stream.push(conditions_of(case)[case.silent :][:count])
    rows = [advance(stream, sketch), finish(stream, case, sketch)]
    assert sum(map(len, rows)) == count
    assert stream.missing == 0


def test_looking_ahead_on_a_copy_leaves_the_stream_alone() -> None:
    case = CASES["video_online"]
    sound, stream, plain = conditions_of(case)[case.silent :], begin(case), begin(case)
    plain.push(sound[:120])
    expected = np.concatenate([advance(plain, sketch), finish(plain, case, sketch)])
    stream.push(sound[:60])
    rows = [advance(stream, sketch)]
    ahead = finish(stream.copy(), case, sketch)
    assert len(rows[0]) + len(ahead) == 60
    stream.push(sound[60:120])
    rows += [advance(stream, sketch), finish(stream, case, sketch)]
    assert np.array_equal(np.concatenate(rows), expected)


@pytest.mark.parametrize("overlap", [0, 80])
def test_an_overlap_that_cannot_work_is_refused(overlap: int) -> None:
    with pytest.raises(ValueError, match=f"not {overlap}"):
        WindowOptions(overlap)


def test_a_stream_needs_clips_that_overlap_by_half() -> None:
    with pytest.raises(ValueError, match="at least 40 frames, not 39"):
        MotionStream(WindowOptions(39), np.zeros(265, np.float32), np.zeros((39, 1103), np.float32))


def test_mean_filter_uses_the_rows_that_exist_at_the_ends() -> None:
    rows = np.arange(5, dtype=np.float32)[:, None]
    assert mean_filter(rows, 3)[:, 0].tolist() == [0.5, 1, 2, 3, 3.5]
