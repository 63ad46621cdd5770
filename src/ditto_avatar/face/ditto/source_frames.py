"""The pictures of a registered avatar: cut out on the host, kept on the device."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.composite import Backdrop, Box, face_box, prepare
from ditto_avatar.face.ditto.geometry import PORTRAIT, cut_out, inverse
from ditto_avatar.face.ditto.pipeline import Pipeline, SourcePicture
from ditto_avatar.face.ditto.registration import Registration, rgb
from ditto_avatar.face.ditto.source import EXTRACTOR_SIZE
from ditto_avatar.types import ByteArray

HOST = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Cutout:
    """A source frame that the device has not seen yet: the crop (256, 256, 3) that features are
    taken from, and the backdrop on the host."""

    face: ByteArray
    backdrop: Backdrop


class SourceFrames:
    """The source frames of one registered avatar, cut out on demand."""

    def __init__(self, avatar: Avatar, registration: Registration) -> None:
        self.name = f"{avatar.folder}/{avatar.fingerprint}"
        self.registration = registration
        self._avatar = avatar
        self._boxes: tuple[Box, ...] = ()

    def frame(self, index: int) -> int:
        """The source frame that idle frame `index` is drawn from."""
        return 0 if self.registration.still is not None else index

    def cut(self, frames: Sequence[int]) -> list[Cutout]:
        """Crops and backdrops of source frames. Blocks for milliseconds each, decoding included;
        frames that belong to one group of the video are decoded together."""
        still = self.registration.still
        if still is not None:
            yuv = np.asarray(cv2.cvtColor(still, cv2.COLOR_RGB2YUV_I420), np.uint8)
            return [self._cut(frame, still, yuv) for frame in frames]
        # All of them first: a group stays decoded as long as one of its pictures is held.
        decoded = [self._avatar.idle_frames[frame] for frame in frames]
        # Each a copy, so that what is kept does not keep its whole group.
        return [
            self._cut(frame, rgb(yuv), yuv.copy())
            for frame, yuv in zip(frames, decoded, strict=True)
        ]

    def _cut(self, frame: int, picture: ByteArray, yuv: ByteArray) -> Cutout:
        height, width = picture.shape[:2]
        if not self._boxes:
            self._boxes = face_box(self.registration.matrices, width, height)
        matrix = self.registration.matrices[frame]
        crop = cut_out(picture, inverse(matrix), PORTRAIT.size)
        size = (EXTRACTOR_SIZE, EXTRACTOR_SIZE)
        face = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8)
        return Cutout(face, prepare(picture, yuv, matrix, self._boxes[frame], HOST))


class PictureCache:
    """Source pictures on the device, by avatar and frame, within a limit of bytes.

    What was not used for longest goes first and is made again when it is wanted. With
    `whole_loops` frames are wanted in turn, and a loop that does not fit would push out each
    frame just before it comes again; then a picture makes no room for itself at the cost of its
    own avatar, and as much of the loop as fits stays. Any thread may look; one thread makes.
    """

    def __init__(self, pipeline: Pipeline, limit_bytes: int, whole_loops: bool = False) -> None:
        self._pipeline = pipeline
        self._limit = limit_bytes
        self._whole_loops = whole_loops
        self._pictures: OrderedDict[tuple[str, int], SourcePicture] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        return self._bytes

    def find(self, avatar: str, frame: int) -> SourcePicture | None:
        """The picture, if it is there."""
        with self._lock:
            picture = self._pictures.get((avatar, frame))
            if picture is not None:
                self._pictures.move_to_end((avatar, frame))
            return picture

    def make(self, avatar: str, frame: int, cutout: Cutout) -> SourcePicture:
        """The picture, from its cutout unless somebody made it meanwhile. Waits for the device."""
        picture = self.find(avatar, frame)
        if picture is None:
            volume, compressed = self._pipeline.features([cutout.face])[0]
            backdrop = cutout.backdrop.on(self._pipeline.runners.device)
            picture = SourcePicture(volume, compressed, backdrop)
            self._keep((avatar, frame), picture)
        return picture

    def _keep(self, key: tuple[str, int], picture: SourcePicture) -> None:
        with self._lock:
            self._pictures[key] = picture
            self._bytes += picture.bytes
            while self._bytes > self._limit and len(self._pictures) > 1:
                victim = next(iter(self._pictures))
                if self._whole_loops and victim[0] == key[0]:
                    victim = key
                self._bytes -= self._pictures.pop(victim).bytes
                if victim == key:
                    return
