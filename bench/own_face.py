"""A face of one's own on the CPU: how exact the tracker is, how fast a photo becomes an avatar, and
what the avatar looks like (results/own_face.json).

    python -m bench.own_face [--photo PATH …]

Without photos the presenters' first frames stand for them: one as it is, one with parted lips. The
lips of the avatars are read by our own tracker.
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
from bench.quality import BILABIAL, Film, acted, closures, filled, spoken
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
from ditto_avatar.face.register.tracker import FaceTracker
from ditto_avatar.face.register.writing import Terms
from ditto_avatar.media.encode import FragmentEncoder
from ditto_avatar.types import SAMPLES_PER_FRAME, ByteArray, FloatArray, Language

NAMES = ("james", "mina", "sofia")
SENTENCES = (
    ("Map, baby, five, thought, moon. Peter Brown bought a piano.", Language.ENGLISH, "en-us"),
    ("엄마와 아빠가 밥을 먹고 바다를 보러 갔어요.", Language.KOREAN, "ko"),
)
TERMS = Terms("own", "a bench", "rendered")
FRAMES = 100
TARGETS = {
    "points_error_percent": report.Target("<= 2.5"),
    "lips_error_percent": report.Target("<= 2"),
    "jitter_percent": report.Target("<= 0.25"),
    "track_ms": report.Target("<= 15", report.Scale.TIME),
    "photo_to_pack_s": report.Target("<= 15", report.Scale.TIME),
    "closed_on_bilabials_share": report.Target(">= 0.95"),
    "seam_ratio": report.Target("<= 1.5"),
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


async def closed_share(avatar: Avatar) -> tuple[float, float]:
    """The share of P, B and M at which the lips are seen shut, and pictures a second."""
    tracker, films, count, spent = FaceTracker(), [], 0, 0.0
    engine = PuppetEngine()
    try:
        for text, language, voice in SENTENCES:
            sound = await spoken(text, language, voice, 165)
            began = time.perf_counter()
            pictures = await acted(engine, avatar, sound, 0, phonetic=True)
            encoder = FragmentEncoder(avatar.width, avatar.height)
            encoder.open()
            silence = np.zeros(SAMPLES_PER_FRAME, np.float32)
            for picture in pictures:
                encoder.encode(picture, silence)
            encoder.finish()
            spent += time.perf_counter() - began
            count += len(pictures)
            films.append(Film(sound, filled(_gaps(tracker, pictures))))
    finally:
        await engine.close()
    every = np.concatenate([film.opening for film in films])
    floor, span = float(np.percentile(every, 2)), float(np.ptp(np.percentile(every, (2, 98))))
    least = [value for film in films for value in closures(film, floor, span)]
    assert least, BILABIAL
    return float((np.array(least) < 0.1).mean()), count / spent


def _gaps(tracker: FaceTracker, pictures: Sequence[ByteArray]) -> FloatArray:
    gaps, last = [], None
    for picture in pictures:
        face = tracker.track(rgb(picture), last)
        last = None if face is None else face.points
        gaps.append(np.nan if last is None else lip_gap(last))
    return np.array(gaps, np.float32)


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


async def measure(photos: list[Path], folder: Path, yardstick: Yardstick) -> dict[str, object]:
    tracked = []
    for name in NAMES:
        tracked.append(tracking(name))
        yardstick.sample()
    figures: dict[str, object] = {
        key: round(float(np.mean([one[key] for one in tracked])), 3) for key in tracked[0]
    }
    figures["by_presenter"] = dict(zip(NAMES, tracked, strict=True))
    _, bundled = await closed_share(load_avatar(BUNDLED / "mina"))
    seconds, shares, seams, backgrounds, ratios = [], {}, [], [], []
    for path in photos:
        began = time.perf_counter()
        avatar = await register_face(path, folder / "packs" / path.stem.lower(), TERMS)
        seconds.append(time.perf_counter() - began)
        yardstick.sample()
        shares[path.stem], speed = await closed_share(avatar)
        seam, background = loop(avatar)
        seams.append(seam)
        backgrounds.append(background)
        pixels = avatar.width * avatar.height / (512 * 640)
        ratios.append(speed * pixels / bundled)
    return figures | {
        "photo_to_pack_s": round(max(seconds), 2),
        "closed_on_bilabials_share": round(min(shares.values()), 3),
        "closed_by_photo": shares,
        "seam_ratio": round(max(seams), 2),
        "background_moves_px": round(max(backgrounds), 2),
        "drawn_and_encoded_ratio": round(min(ratios), 2),
        "lips_read_by": "the tracker of this project",
    }


def run(photo: Annotated[list[Path] | None, typer.Option(help="Photos to try.")] = None) -> None:
    """Measure, print and store."""
    with tempfile.TemporaryDirectory() as place, Yardstick() as yardstick:
        folder = Path(place)
        figures = asyncio.run(measure(photo or stand_ins(folder), folder, yardstick))
        report.write("own_face", figures, TARGETS, yardstick)


def main() -> None:
    """Run the bench."""
    typer.run(run)


if __name__ == "__main__":
    main()
