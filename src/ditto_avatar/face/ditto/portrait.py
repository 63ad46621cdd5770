"""An avatar pack out of a photo or a video.

A video becomes its own idle loop, played forwards and backwards. A photo is brought to life by
the model itself: it listens to silence, and what it does then, made to meet its own beginning, is
the idle loop.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np

from ditto_avatar.errors import InvalidAvatar, InvalidImage
from ditto_avatar.face.ditto.audio import silence
from ditto_avatar.face.ditto.composite import face_box, prepare
from ditto_avatar.face.ditto.condition import condition_rows, emotion_row
from ditto_avatar.face.ditto.driving import DriveOptions, Driver, random_blinks
from ditto_avatar.face.ditto.layout import MOTION, SourceMotion, place_keypoints
from ditto_avatar.face.ditto.media_source import load_footage
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.pipeline import ClipJob, FrameJob, Pipeline, SourcePicture
from ditto_avatar.face.ditto.registration import (
    FEATURES_FILE,
    Registration,
    register,
    rgb,
    save_registration,
)
from ditto_avatar.face.ditto.runtime.base import on_device
from ditto_avatar.face.ditto.sampler import SeededNoise
from ditto_avatar.face.ditto.source import SourceFrame
from ditto_avatar.face.ditto.windows import (
    CLIP_FRAMES,
    ClipRequest,
    WindowOptions,
    bounded,
    offline_motion,
)
from ditto_avatar.face.geometry import rotations
from ditto_avatar.face.pack import check_name, load_avatar, pack_fingerprint
from ditto_avatar.media.colour import tag_colours
from ditto_avatar.types import FRAME_RATE_HZ, ByteArray, Emotion, FloatArray

log = logging.getLogger(__name__)

IDLE_FRAMES = 150
MEETING_FRAMES = 25  # over which the end of the idle loop becomes its beginning
VIDEO_FRAMES = 250
OFFLINE_OVERLAP = 10
IDLE_QUALITY = "16"  # x264's constant rate factor
IDLE_GROUP = 25  # frames from one keyframe to the next: an engine decodes whole groups
POSTER_QUALITY = 90

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which terms the face may be shown; none of the three may be empty."""

    license: str
    provenance: str
    consent: str
    display_name: Mapping[str, str] = field(default_factory=dict)
    description: Mapping[str, str] = field(default_factory=dict)


def check_request(out: Path, terms: Terms) -> None:
    """Check what can be checked before minutes of work. Raises `InvalidAvatar` when `out` exists,
    when no avatar can have its name, or when the terms are empty."""
    for key in ("license", "provenance", "consent"):
        if not getattr(terms, key).strip():
            raise InvalidAvatar(f"{key} is empty; say under which terms the face may be shown.")
    check_name(out.name)
    if out.exists():
        raise InvalidAvatar(f"{out} exists already; choose another name.")


def register_source(
    path: Path,
    out: Path,
    models: DittoModels,
    options: DittoOptions,
    terms: Terms,
    *,
    frames: int = IDLE_FRAMES,
    progress: Progress | None = None,
) -> Path:
    """Makes the avatar pack `out` from the photo or video `path`; returns `out`. Blocks.

    `frames` is the length of a photo's idle loop. Raises `InvalidImage` for footage without one
    clear face, and what `check_request` raises; then nothing is left."""
    check_request(out, terms)
    footage = load_footage(path, options.longest_side, VIDEO_FRAMES)
    maker = _Maker(models, options, progress or (lambda stage, done, total: None))
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        on_device(models.runners.device),
        tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as place,
    ):
        folder = Path(place) / out.name
        folder.mkdir()
        if footage.still:
            maker.from_photo(footage.frames[0], folder, path.name, frames)
        else:
            maker.from_video(footage.frames, folder, path.name)
        _write_about(folder, path, terms)
        load_avatar(folder)
        shutil.move(folder, out)
    return out


class _Maker:
    """Fills the folder of a new pack."""

    def __init__(self, models: DittoModels, options: DittoOptions, progress: Progress) -> None:
        self._models = models
        self._options = options
        self._progress = progress
        self._pipeline = Pipeline(models.runners, options.steps)

    def from_video(self, pictures: Sequence[ByteArray], folder: Path, name: str) -> None:
        self._progress("faces", 0, len(pictures))
        registration, seen = register(pictures, self._models, name)
        there_and_back = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
        motion = registration.motion
        looped = SourceMotion(
            motion.rows[there_and_back],
            motion.keypoints[there_and_back],
            motion.eye_open[there_and_back],
            motion.eye_ball[there_and_back],
            motion.canonical,
        )
        matrices = registration.matrices[there_and_back]
        frames = [pictures[index] for index in there_and_back]
        _write_idle(folder / "idle.mp4", [_i420(frame) for frame in frames])
        _write_poster(folder / "poster.webp", frames[0])
        _write_arrays(folder, np.stack([seen[index].mesh for index in there_and_back]))
        save_registration(
            folder / "features" / FEATURES_FILE,
            self._models.key,
            pack_fingerprint(folder),
            Registration(looped, matrices, motion.rows[0]),
        )

    def from_photo(self, picture: ByteArray, folder: Path, name: str, count: int) -> None:
        registration, seen = register([picture], self._models, name)
        motion = registration.motion
        rows = self._idle_rows(motion, count)
        source = place_keypoints(motion.keypoints, motion.rows)[0]
        keypoints = np.repeat(motion.keypoints, count, axis=0)
        idle = SourceMotion(
            rows,
            keypoints,
            np.repeat(motion.eye_open, count, axis=0),
            np.repeat(motion.eye_ball, count, axis=0),
            motion.canonical,
        )
        frames = self._draw(
            picture, registration, seen[0], source, place_keypoints(keypoints, rows)
        )
        _write_idle(folder / "idle.mp4", frames)
        _write_poster(folder / "poster.webp", rgb(frames[0]))
        _write_arrays(folder, self._meshes(frames, seen[0]))
        save_registration(
            folder / "features" / FEATURES_FILE,
            self._models.key,
            pack_fingerprint(folder),
            Registration(
                idle,
                np.repeat(registration.matrices, count, axis=0),
                motion.rows[0],
                picture,
                source,
            ),
        )

    def _idle_rows(self, motion: SourceMotion, count: int) -> FloatArray:
        """A loop of motion rows (count, 265) of someone who listens."""
        config, total = self._models.config, count + MEETING_FRAMES
        noise = SeededNoise(self._options.seed, (CLIP_FRAMES, MOTION), self._models.runners.device)
        neutral = np.repeat(emotion_row([Emotion.NEUTRAL])[None], total, axis=0)
        conditions = condition_rows(
            silence(self._models.encode, total), neutral, 0, motion, np.zeros_like
        )

        def predict(request: ClipRequest) -> FloatArray:
            self._progress("motion", request.clip * CLIP_FRAMES, total)
            return self._pipeline.predict([ClipJob(request, noise)])[0]

        windows = WindowOptions(OFFLINE_OVERLAP, bounds=config.bounds, smooth=config.smooth_motion)
        drive = offline_motion(conditions, motion.rows[0], windows, predict)
        still = np.zeros(total, np.int64)
        blink = None
        if config.blink is not None:
            # Open at both ends, so that the loop may meet.
            phases = random_blinks(len(config.blink), self._options.seed)
            blink = np.array(list(islice(phases, total)), np.int64)
            blink[-MEETING_FRAMES - len(config.blink) :] = 0
        driver = Driver(motion, DriveOptions.for_image(config.blink))
        rows = driver.rows(bounded(drive, config.bounds), still, blink)
        return meet(rows, count)

    def _draw(
        self,
        picture: ByteArray,
        registration: Registration,
        seen: SourceFrame,
        source: FloatArray,
        driving: FloatArray,
    ) -> list[ByteArray]:
        height, width = picture.shape[:2]
        device = self._models.runners.device
        volume, compressed = self._pipeline.features([seen.crop])[0]
        box = face_box(registration.matrices, width, height)[0]
        backdrop = prepare(picture, _i420(picture), registration.matrices[0], box, device)
        place = SourcePicture(volume, compressed, backdrop)
        jobs = [FrameJob(place, source, x_d) for x_d in driving]
        frames: list[ByteArray] = []
        batch = self._models.runners.batches[-1]
        for first in range(0, len(jobs), batch):
            self._progress("pictures", first, len(jobs))
            frames += self._pipeline.render(jobs[first : first + batch])
        return frames

    def _meshes(self, frames: Sequence[ByteArray], first: SourceFrame) -> FloatArray:
        """Face Mesh on every drawn frame (n, 478, 3); where it sees no face, the photo's."""
        meshes = []
        for index, frame in enumerate(frames):
            self._progress("landmarks", index, len(frames))
            try:
                meshes.append(self._models.reader.read(rgb(frame), None, "idle").mesh)
            except InvalidImage:
                meshes.append(first.mesh)
        return np.stack(meshes)


def meet(rows: FloatArray, count: int) -> FloatArray:
    """A loop of `count` rows from more: what comes after the loop's end fades into its
    beginning, so that the last row is followed by the first as it was by its successor."""
    after = rows[count:]
    share = (np.arange(len(after), dtype=np.float32) / len(after))[:, None]
    loop = rows[:count].copy()
    loop[: len(after)] = after * (1 - share) + loop[: len(after)] * share
    return loop


def head_rotation(points: FloatArray, neutral: FloatArray) -> FloatArray:
    """Pitch, yaw and roll (n, 3) in degrees that turn the neutral points (478, 3) best into each
    of (n, 478, 3)."""
    turn, _ = rotations(neutral, points)  # columns: where x, y and z went
    pitch = np.arctan2(-turn[:, 1, 2], turn[:, 2, 2])
    yaw = np.arcsin(np.clip(-turn[:, 0, 2], -1, 1))
    roll = np.arctan2(-turn[:, 0, 1], turn[:, 0, 0])
    return np.asarray(np.degrees(np.stack([pitch, yaw, roll], axis=1)), np.float32)


def _i420(picture: ByteArray) -> ByteArray:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)


def _write_idle(path: Path, frames: Sequence[ByteArray]) -> None:
    """I420 pictures as H.264 that a browser loops without a seam: no frames out of order."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE_HZ)
        stream.width, stream.height = frames[0].shape[1], frames[0].shape[0] * 2 // 3
        stream.pix_fmt = "yuv420p"
        codec = stream.codec_context
        tag_colours(codec)
        codec.gop_size = IDLE_GROUP
        stream.options = {"crf": IDLE_QUALITY, "preset": "medium", "bf": "0"}
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _write_poster(path: Path, picture: ByteArray) -> None:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, POSTER_QUALITY])
    path.write_bytes(data.tobytes())


def _write_arrays(folder: Path, meshes: FloatArray) -> None:
    rotation = head_rotation(meshes, meshes[0])
    # The frame nearest to the mean stands for the face at rest.
    rest = int(np.abs(meshes - np.median(meshes, axis=0)).mean(axis=(1, 2)).argmin())
    np.savez(
        folder / "avatar.npz",
        landmarks=meshes.astype(np.float32),
        visibility=np.ones(meshes.shape[:2], np.bool_),
        head_rotation=rotation,
        neutral_landmarks=meshes[rest].astype(np.float32),
    )


def _write_about(folder: Path, path: Path, terms: Terms) -> None:
    title = folder.name.replace("_", " ").replace("-", " ").title()
    content = {
        "format": 1,
        "name": folder.name,
        "display_name": dict(terms.display_name) or {"en": title},
        "description": dict(terms.description) or {"en": f"Made from {path.name}."},
        "license": terms.license,
        "provenance": terms.provenance,
        "consent": terms.consent,
    }
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    (folder / "about.json").write_text(text, encoding="utf-8")
