"""An avatar pack out of a photo or a video.

A video becomes its own idle loop, played forwards and backwards. A photo is brought to life by
the model itself: it listens to silence, and what it does then, made to meet its own beginning, is
the idle loop.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from ditto_avatar.errors import InvalidImage
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
from ditto_avatar.face.pack import load_avatar, pack_fingerprint
from ditto_avatar.face.register.idle_film import write_idle
from ditto_avatar.face.register.making import face_of_film, write_puppet
from ditto_avatar.face.register.tracker import eye_closures
from ditto_avatar.face.register.writing import (
    Terms,
    check_request,
    i420,
    write_about,
    write_poster,
)
from ditto_avatar.types import ByteArray, Emotion, FloatArray

log = logging.getLogger(__name__)

IDLE_FRAMES = 150
MEETING_FRAMES = 25  # over which the end of the idle loop becomes its beginning
VIDEO_FRAMES = 250
OFFLINE_OVERLAP = 10

Progress = Callable[[str, int, int], None]


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
        write_about(folder, path.name, terms)
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
        frames = [i420(pictures[index]) for index in there_and_back]
        meshes = np.stack([seen[index].mesh for index in there_and_back])
        _write_face(folder, frames, meshes)
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
        _write_face(folder, frames, self._meshes(frames, seen[0]))
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
        backdrop = prepare(picture, i420(picture), registration.matrices[0], box, device)
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


def _write_face(folder: Path, frames: Sequence[ByteArray], meshes: FloatArray) -> None:
    """Write the loop, I420, and what the puppet draws its face with: such a pack speaks without
    checkpoints as well."""
    write_idle(folder / "idle.mp4", frames)
    write_poster(folder / "poster.webp", rgb(frames[0]))
    write_puppet(folder, face_of_film(frames, meshes, eye_closures(meshes)))
