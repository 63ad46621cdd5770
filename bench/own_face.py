"""A face of one's own on the CPU: how exact the tracker is, how fast a photo becomes an avatar, and
what the avatar looks like (results/own_face.json).

    python -m bench.own_face [--photo PATH …] [--mediapipe PYTHON]

The presenters' first frames stand for photos: one as it is, one with parted lips; `--photo` adds
others. The lips are read by MediaPipe where a Python that has it is named (see
`bench.lips_mediapipe`), else by our own tracker.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from bench import report
from bench.quality import (
    BILABIAL,
    Film,
    MediaPipeReader,
    acted,
    closures,
    filled,
    spoken,
)
from bench.yardstick import Yardstick
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.arkit import INDEX, SHAPES
from ditto_avatar.face.puppet.engine import PuppetEngine
from ditto_avatar.face.puppet.motion import Pose
from ditto_avatar.face.puppet.renderer import Renderer
from ditto_avatar.face.register.checks import lip_gap
from ditto_avatar.face.register.guarded import register_face
from ditto_avatar.face.register.idle_film import IDLE_GROUP
from ditto_avatar.face.register.tracker import FaceTracker
from ditto_avatar.face.register.writing import Terms
from ditto_avatar.media.encode import FragmentEncoder
from ditto_avatar.types import SAMPLES_PER_FRAME, ByteArray, FloatArray, Language, SpeechChunk

NAMES = ("james", "mina", "sofia")
SENTENCES = (
    ("Map, baby, five, thought, moon. Peter Brown bought a piano.", Language.ENGLISH, "en-us"),
    ("엄마와 아빠가 밥을 먹고 바다를 보러 갔어요.", Language.KOREAN, "ko"),
)
TERMS = Terms("own", "a bench", "rendered")
FRAMES = 100
# Turns of each avatar for the ratio of speeds.
ROUNDS = 2
JAWS = (0.25, 0.35, 0.45, 0.55, 0.65, 0.75)
TARGETS = {
    "points_error_percent": report.Target("<= 2.5"),
    "lips_error_percent": report.Target("<= 2"),
    "jitter_percent": report.Target("<= 0.25"),
    "track_ms": report.Target("<= 15", report.Scale.TIME),
    "photo_to_pack_s": report.Target("<= 15", report.Scale.TIME),
    "closed_on_bilabials_share": report.Target(">= 0.95"),
    "teeth_height_varies_percent": report.Target("< 5"),
    "seam_ratio": report.Target("<= 1.5"),
    "keyframe_step_grey": report.Target("<= 0.4"),
    "background_moves_px": report.Target("< 0.5"),
    "drawn_and_encoded_ratio": report.Target(">= 0.9"),
}


def rgb(yuv: ByteArray) -> ByteArray:
    return np.asarray(cv2.cvtColor(yuv, cv2.COLOR_YUV2RGB_I420), np.uint8)


def tracking(name: str) -> dict[str, float]:
    """Errors in percent of the outer-eye distance against the exact points, and CPU time."""
    avatar = load_avatar(BUNDLED / name)
    tracker, last, found = FaceTracker(), None, []
    pictures = [rgb(avatar.idle_frames[index]) for index in range(FRAMES)]
    began = time.process_time()
    for picture in pictures:
        face = tracker.track(picture, last)
        assert face is not None
        last = face.points
        found.append(last)
    spent = time.process_time() - began
    exact = avatar.arrays.landmarks[:FRAMES, :, :2]
    size = np.linalg.norm(exact[:, lm.LEFT_EYE_OUTER] - exact[:, lm.RIGHT_EYE_OUTER], axis=1).mean()
    off = (np.stack(found)[..., :2] - exact) * (100 / size)
    away = np.linalg.norm(off, axis=2)
    return {
        "points_error_percent": float(away[:, :468].mean()),
        "lips_error_percent": float(away[:, list(lm.LIPS)].mean()),
        "irises_error_percent": float(away[:, list(lm.IRISES)].mean()),
        "jitter_percent": float(np.linalg.norm(np.diff(off, axis=0), axis=2).mean()),
        "track_ms": 1_000 * spent / FRAMES,
    }


def stand_ins(folder: Path) -> list[Path]:
    """A photo with closed lips and one with parted ones."""
    closed = rgb(load_avatar(BUNDLED / "mina").idle_frames[0])
    sofia = load_avatar(BUNDLED / "sofia")
    weights = np.zeros(len(SHAPES), np.float32)
    for name, weight in (("jawOpen", 0.25), ("mouthSmileLeft", 0.6), ("mouthSmileRight", 0.6)):
        weights[INDEX[name]] = weight
    parted = rgb(Renderer(sofia).draw(0, Pose(weights, np.zeros(3, np.float32))))
    paths = [folder / "closed.png", folder / "parted.png"]
    for path, picture in zip(paths, (closed, parted), strict=True):
        cv2.imwrite(str(path), picture[..., ::-1])
    return paths


async def sentences(avatar: Avatar) -> list[tuple[SpeechChunk, list[ByteArray]]]:
    """The sentences and their pictures (I420)."""
    engine = PuppetEngine()
    try:
        made = []
        for text, language, voice in SENTENCES:
            sound = await spoken(text, language, voice, 165)
            made.append((sound, await acted(engine, avatar, sound, 0, phonetic=True)))
        return made
    finally:
        await engine.close()


async def closed_share(avatar: Avatar, mediapipe: Path | None) -> float:
    """The share of P, B and M at which the lips are seen shut."""
    made = await sentences(avatar)
    if mediapipe is None:
        tracker, shut = FaceTracker(), 0.1
        openings = [filled(_gaps(tracker, pictures)) for _, pictures in made]
    else:
        # As in bench.quality: MediaPipe sees a lip's shade as a slit.
        reader, shut = MediaPipeReader(avatar, mediapipe), 0.15
        openings = [filled(reader.read(pictures)) for _, pictures in made]
    films = [Film(sound, opening) for (sound, _), opening in zip(made, openings, strict=True)]
    every = np.concatenate(openings)
    floor, span = float(np.percentile(every, 2)), float(np.ptp(np.percentile(every, (2, 98))))
    least = [value for film in films for value in closures(film, floor, span)]
    assert least, BILABIAL
    return float((np.array(least) < shut).mean())


def _gaps(tracker: FaceTracker, pictures: Sequence[ByteArray]) -> FloatArray:
    gaps, last = [], None
    for picture in pictures:
        face = tracker.track(rgb(picture), last)
        last = None if face is None else face.points
        gaps.append(np.nan if last is None else lip_gap(last))
    return np.array(gaps, np.float32)


async def speed_ratio(avatar: Avatar, bundled: Avatar) -> float:
    """How much faster the avatar is drawn and encoded than the bundled one, pixel for pixel. The
    two take turns, and CPU time counts: other programs on the machine do not."""
    spent = {avatar.name: 0.0, bundled.name: 0.0}
    for turn in range(ROUNDS + 1):
        for one in (avatar, bundled):
            began = time.process_time()
            for _, pictures in await sentences(one):
                _encode(one, pictures)
            # What is only done once is not the speed.
            spent[one.name] += (time.process_time() - began) * (turn > 0)
    pixels = avatar.width * avatar.height / (bundled.width * bundled.height)
    return pixels * spent[bundled.name] / spent[avatar.name]


def _encode(avatar: Avatar, pictures: Sequence[ByteArray]) -> None:
    encoder = FragmentEncoder(avatar.width, avatar.height)
    encoder.open()
    silence = np.zeros(SAMPLES_PER_FRAME, np.float32)
    for picture in pictures:
        encoder.encode(picture, silence)
    encoder.finish()


def teeth_vary(avatar: Avatar) -> float:
    """How far the edge of the upper teeth moves while the jaw opens, in percent of the height that
    is seen of them: teeth that stretch with the lips would move by more than all of it."""
    renderer, tops, ends = Renderer(avatar), [], []
    points = avatar.arrays.landmarks[0]
    inner = points[list(lm.INNER_LIPS), :2]
    width, (x, y) = float(np.ptp(inner[:, 0])), inner.mean(0)
    for jaw in JAWS:
        weights = np.zeros(len(SHAPES), np.float32)
        weights[INDEX["jawOpen"]] = jaw
        picture = renderer.draw(0, Pose(weights, np.zeros(3, np.float32)))
        rows = slice(int(y - 0.3 * width), int(y + 0.4 * width))
        edges = []
        for aside in (-0.09, -0.06, 0.06, 0.09):
            column = int(x + aside * width)
            light = picture[rows, column - 1 : column + 2].astype(np.float32).mean(axis=1)
            step = np.gradient(cv2.GaussianBlur(light[:, None], (1, 0), 0.1, sigmaY=0.7)[:, 0])
            end = _steepest(-step, int(0.18 * width), int(0.5 * width))
            edges.append((_steepest(step, max(2, int(end - 0.2 * width)), int(end)), end))
        top, end = np.mean(edges, axis=0)
        tops.append(top)
        ends.append(end)
    return float(100 * np.ptp(ends) / np.mean(np.array(ends) - np.array(tops)))


def _steepest(step: FloatArray, low: int, high: int) -> float:
    """Where `step` (n,) is largest between `low` and `high`, between the samples."""
    place = low + int(np.argmax(step[low:high]))
    before, here, after = step[place - 1 : place + 2]
    return float(place + 0.5 * (before - after) / (before - 2 * here + after))


def loop(avatar: Avatar) -> tuple[float, float]:
    """The seam in median steps of the points, and how far the background moves, in px."""
    points = avatar.arrays.landmarks[:, :468, :2]
    steps = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=2).mean(1)
    oval = points[0, list(lm.FACE_OVAL)]
    low, high = oval.min(0), oval.max(0)
    edge = max(16, int(low[0] - 0.6 * (high[0] - low[0])))
    first = avatar.idle_frames[0][: int(high[1]), :edge].astype(np.float32)
    moved = []
    for index in range(10, avatar.frame_count, 20):
        other = avatar.idle_frames[index][: int(high[1]), :edge].astype(np.float32)
        (x, y), _ = cv2.phaseCorrelate(first, other)
        moved.append(float(np.hypot(x, y)))
    return float(steps[-1] / np.median(steps)), max(moved)


def keyframe_step(avatar: Avatar) -> float:
    """The median over the keyframes of how much one differs from the picture before it, in grey
    levels."""
    steps = []
    for index in range(0, avatar.frame_count, IDLE_GROUP):
        before, after = (
            avatar.idle_frames[at % avatar.frame_count][: avatar.height].astype(np.float32)
            for at in (index - 1, index)
        )
        steps.append(float(np.abs(after - before).mean()))
    return float(np.median(steps))


async def measure(
    photos: Sequence[Path], mediapipe: Path | None, folder: Path, yardstick: Yardstick
) -> dict[str, object]:
    tracked = []
    for name in NAMES:
        tracked.append(tracking(name))
        yardstick.sample()
    figures: dict[str, object] = {
        key: round(float(np.mean([one[key] for one in tracked])), 3) for key in tracked[0]
    }
    figures["by_presenter"] = dict(zip(NAMES, tracked, strict=True))
    by_photo = {}
    for path in photos:
        by_photo[path.stem] = await photo_figures(path, mediapipe, folder)
        yardstick.sample()
    worst = {
        key: min(one[key] for one in by_photo.values())
        if TARGETS[key].text.startswith(">")
        else max(one[key] for one in by_photo.values())
        for key in next(iter(by_photo.values()))
    }
    reader = "MediaPipe" if mediapipe else "the tracker of this project"
    return figures | worst | {"by_photo": by_photo, "lips_read_by": reader}


async def photo_figures(path: Path, mediapipe: Path | None, folder: Path) -> dict[str, float]:
    """Figures of the avatar that a photo becomes."""
    began = time.perf_counter()
    avatar = await register_face(path, folder / "packs" / path.stem.lower(), TERMS)
    seconds = time.perf_counter() - began
    seam, background = loop(avatar)
    found = {
        "photo_to_pack_s": seconds,
        "closed_on_bilabials_share": await closed_share(avatar, mediapipe),
        "teeth_height_varies_percent": teeth_vary(avatar),
        "seam_ratio": seam,
        "keyframe_step_grey": keyframe_step(avatar),
        "background_moves_px": background,
        "drawn_and_encoded_ratio": await speed_ratio(avatar, load_avatar(BUNDLED / "mina")),
    }
    return {key: round(value, 3) for key, value in found.items()}


def run(
    photo: Annotated[list[Path] | None, typer.Option(help="Photos to try besides.")] = None,
    mediapipe: Annotated[Path | None, typer.Option(help="A Python that has MediaPipe.")] = None,
) -> None:
    """Measure, print and store."""
    with tempfile.TemporaryDirectory() as place, Yardstick() as yardstick:
        folder = Path(place)
        figures = asyncio.run(
            measure([*stand_ins(folder), *(photo or ())], mediapipe, folder, yardstick)
        )
        report.write("own_face", figures, TARGETS, yardstick)


def main() -> None:
    """Run the bench."""
    typer.run(run)


if __name__ == "__main__":
    main()
