"""Write the files of a new avatar pack; Ditto's registration and the puppet's share them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.pack import check_name
from ditto_avatar.media.colour import tag_colours
from ditto_avatar.types import FRAME_RATE_HZ, ByteArray, FloatArray

# x264's constant rate factors: pixels of large pictures are shown smaller, and cost more time.
IDLE_QUALITY = 16
LARGE_IDLE_QUALITY = 19
LARGE_WIDTH_PX = 640
IDLE_GROUP = 25  # frames from one keyframe to the next: an engine decodes whole groups
POSTER_QUALITY = 90
# Keyframes get no more bits than other frames: otherwise a face that hardly moves pulses once a
# second.
_STEADY = (
    "scenecut=0:ipratio=1.0:mbtree=0:no-dct-decimate=1:trellis=0:deadzone-inter=8:deadzone-intra=8"
)


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which terms the face may be shown; none of the three may be empty."""

    license: str
    provenance: str
    consent: str
    display_name: Mapping[str, str] = field(default_factory=dict)
    description: Mapping[str, str] = field(default_factory=dict)


def check_terms(terms: Terms) -> None:
    """Raise `InvalidAvatar` for terms that say nothing."""
    for key in ("license", "provenance", "consent"):
        if not getattr(terms, key).strip():
            raise InvalidAvatar(f"{key} is empty; say under which terms the face may be shown.")


def check_request(out: Path, terms: Terms) -> None:
    """Check what can be checked before minutes of work. Raises `InvalidAvatar` when `out` exists,
    when no avatar can have its name, or when the terms are empty."""
    check_terms(terms)
    check_name(out.name)
    if out.exists():
        raise InvalidAvatar(f"{out} exists already; choose another name.")


def i420(picture: ByteArray) -> ByteArray:
    """Return an RGB picture (h, w, 3) as I420."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)


def write_idle(path: Path, frames: Iterable[ByteArray], quality: str | None = None) -> None:
    """Write I420 pictures as H.264 that a browser loops without a seam: no frames out of order,
    and no pulse at the keyframes."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE_HZ)
        pictures = iter(frames)
        first = next(pictures)
        stream.width, stream.height = first.shape[1], first.shape[0] * 2 // 3
        stream.pix_fmt = "yuv420p"
        codec = stream.codec_context
        tag_colours(codec)
        codec.gop_size = IDLE_GROUP
        stream.options = {
            "crf": quality or _quality_for(stream.width),
            "preset": "veryfast",
            "bf": "0",
            "x264-params": _STEADY,
        }
        for index, picture in enumerate(chain([first], pictures)):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _quality_for(width_px: int) -> str:
    return str(LARGE_IDLE_QUALITY if width_px >= LARGE_WIDTH_PX else IDLE_QUALITY)


def write_poster(path: Path, picture: ByteArray) -> None:
    """Write an RGB picture as WebP."""
    _write_webp(path, picture, POSTER_QUALITY)


def write_atlas(path: Path, patches: ByteArray) -> None:
    """Write the patches (k, height, width, 3) of a mouth atlas, one below the other."""
    _write_webp(path, patches.reshape(-1, *patches.shape[2:]), 95)


def _write_webp(path: Path, picture: ByteArray, quality: int) -> None:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, quality])
    path.write_bytes(data.tobytes())


def write_arrays(
    folder: Path,
    points: FloatArray,
    rotation: FloatArray,
    neutral: FloatArray,
    **more: npt.NDArray[Any],
) -> None:
    """Write ``avatar.npz``: points (n, 478, 3) of the idle frames, their head rotations (n, 3) and
    the points (478, 3) at rest. `more` holds what the format has besides."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "landmarks": points.astype(np.float32),
        "visibility": np.ones(points.shape[:2], np.bool_),
        "head_rotation": rotation,
        "neutral_landmarks": neutral.astype(np.float32),
        **more,
    }
    np.savez(folder / "avatar.npz", **arrays)  # type: ignore[arg-type]


def write_about(folder: Path, source: str, terms: Terms) -> None:
    """Write ``about.json`` for a pack made from the file named `source`."""
    title = folder.name.replace("_", " ").replace("-", " ").title()
    content = {
        "format": 1,
        "name": folder.name,
        "display_name": dict(terms.display_name) or {"en": title},
        "description": dict(terms.description) or {"en": f"Made from {source}."},
        "license": terms.license,
        "provenance": terms.provenance,
        "consent": terms.consent,
    }
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    (folder / "about.json").write_text(text, encoding="utf-8")
