"""An avatar in memory: read-only, shared by every viewer. `face.pack` reads it from disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ditto_avatar.face.idle import IdleFrames
from ditto_avatar.face.unpack import UnpackedFolder
from ditto_avatar.types import ByteArray, FloatArray

if TYPE_CHECKING:
    from ditto_avatar.face.backdrop import Backed
    from ditto_avatar.face.cutout import Cutout

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class About:
    """What ``about.json`` says. Texts are keyed by language (``en``, ``ko``), voices by speech
    engine and then by language."""

    name: str
    display_name: Mapping[str, str]
    description: Mapping[str, str]
    license: str
    provenance: str
    consent: str
    voices: Mapping[str, Mapping[str, str]]
    persona: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MouthAtlas:
    """The mouth in `k` shapes at the neutral pose.

    `weights` (k, 52), `landmarks` (k, 478, 3) in pixels of the neutral frame, `box` is x, y,
    width and height of the patches there. `patches()` decodes (k, height, width, 3) uint8 RGB,
    possibly with more pixels than the box: needed once, to prepare the face.
    """

    names: tuple[str, ...]
    weights: FloatArray
    landmarks: FloatArray
    box: tuple[float, float, float, float]
    patches: Callable[[], ByteArray]


@dataclass(frozen=True, slots=True)
class FaceArrays:
    """What ``avatar.npz`` holds; `n` idle frames, coordinates in pixels of the frame.

    `landmarks` (n, 478, 3), `visibility` (n, 478), `head_rotation` (n, 3) pitch, yaw and roll in
    degrees, `neutral_landmarks` (478, 3), `eye_closure` (n, 2) or None, `blendshapes`
    (52, 478, 3) or None.
    """

    landmarks: FloatArray
    visibility: BoolArray
    head_rotation: FloatArray
    neutral_landmarks: FloatArray
    eye_closure: FloatArray | None
    blendshapes: FloatArray | None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Avatar:
    """One checked pack. Everything in it is read-only and shared."""

    name: str
    folder: Path
    about: About
    arrays: FaceArrays
    atlas: MouthAtlas | None
    width: int
    height: int
    fingerprint: str
    """Changes with the pack's files."""
    idle_frames: IdleFrames = field(repr=False)
    """The pictures of the idle loop."""
    cutout_frames: IdleFrames | None = field(default=None, repr=False)
    """The packed pictures of the idle loop without its background, where the pack has them."""
    cutout: Cutout | Backed | None = field(default=None, repr=False)
    """Takes the background out of what is drawn; None where it is shown with its background."""
    drawn: Avatar | None = field(default=None, repr=False)
    """What the face engine draws, where that is another: the same with its background."""
    # Keeps the temporary folder of an unpacked zip for as long as the avatar is in use.
    _unpacked: UnpackedFolder | None = field(default=None, repr=False)

    @property
    def frame_count(self) -> int:
        """Frames of the idle loop, at 25 a second."""
        return len(self.arrays.landmarks)

    @property
    def idle_path(self) -> Path:
        """The idle loop as a file that a browser plays."""
        return self.folder / ("idle.mp4" if self.cutout is None else "cutout.mp4")

    @property
    def coded_size(self) -> tuple[int, int]:
        """Width and height of the pictures that are sent: twice as high where they are packed."""
        return self.width, self.height * (1 if self.cutout is None else self.cutout.rows)

    @property
    def poster_path(self) -> Path:
        """The first frame as a still picture."""
        return self.folder / "poster.webp"

    @property
    def voices(self) -> Mapping[str, Mapping[str, str]]:
        """The voice that suits this face, by speech engine and then by language."""
        return self.about.voices

    @property
    def persona(self) -> Mapping[str, str]:
        """The system prompt of this character, by language; possibly empty."""
        return self.about.persona

    @property
    def features_folder(self) -> Path:
        """Where engines keep what they computed for this face."""
        return self.folder / "features"
