"""Write the files of a new avatar pack; Ditto's registration and the puppet's share them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.pack import check_name
from ditto_avatar.types import ByteArray, FloatArray

POSTER_QUALITY = 90


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
