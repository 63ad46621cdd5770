"""The avatar pack on disk: read once and checked completely.

The format is described in ``docs/avatar-pack.md``.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.avatar import About, Avatar, FaceArrays, MouthAtlas
from ditto_avatar.face.idle import IdleFrames, IdleMemory
from ditto_avatar.face.unpack import UnpackedFolder, unpack
from ditto_avatar.types import FRAME_RATE_HZ, ByteArray, FloatArray

LANDMARK_COUNT = 478
BLENDSHAPE_COUNT = 52
MAX_FRAMES = 3_000
MAX_SIDE_PX = 2_160
MAX_ARRAY_BYTES = 256 * 1024 * 1024

_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_ATLAS_KEYS = ("atlas_names", "atlas_weights", "atlas_landmarks", "atlas_box")


def load_avatar(path: Path, memory: IdleMemory | None = None) -> Avatar:
    """Read the pack at `path`, a folder or a ``.zip``. Pictures of its idle loop are kept in
    `memory`, which avatars may share.

    Raises `InvalidAvatar` with one sentence that names the file, the key, what was expected and
    what came.
    """
    if path.is_dir():
        return _load_folder(path, path.name, None, memory)
    if path.is_file():
        owner, folder = unpack(path)
        name = path.stem if folder == owner.path else folder.name
        return _load_folder(folder, name, owner, memory)
    raise InvalidAvatar(f"{path.name}: expected a folder or a zip, came nothing at this path.")


def find_avatars(folder: Path) -> list[Path]:
    """The packs in `folder`, by name: folders that hold an ``about.json``, and zips."""
    if not folder.is_dir():
        return []
    return sorted(
        entry
        for entry in folder.iterdir()
        if (entry / "about.json").is_file() or (entry.is_file() and entry.suffix == ".zip")
    )


def _load_folder(
    folder: Path, name: str, unpacked: UnpackedFolder | None, memory: IdleMemory | None
) -> Avatar:
    about = _read_about(folder, name)
    count, width, height = _probe_idle(_existing(folder, "idle.mp4"))
    _read_image(_existing(folder, "poster.webp"))
    with _ArraysFile(_existing(folder, "avatar.npz")) as file:
        arrays = _read_arrays(file, count)
        atlas = _read_atlas(file, folder / "mouth.webp")
    idle = IdleFrames(folder / "idle.mp4", count, width, height, memory)
    fingerprint = pack_fingerprint(folder)
    return Avatar(
        about.name, folder, about, arrays, atlas, width, height, fingerprint, idle, unpacked
    )


def pack_fingerprint(folder: Path) -> str:
    """What `Avatar.fingerprint` says of the pack in `folder`."""
    digest = hashlib.sha256()
    for name in ("idle.mp4", "avatar.npz", "mouth.webp"):
        path = folder / name
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()[:16]


def _existing(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise InvalidAvatar(f"{name}: expected in the pack {folder.name!r}, came no such file.")
    return path


def _read_about(folder: Path, name: str) -> About:
    path = _existing(folder, "about.json")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidAvatar(f"about.json: expected JSON in UTF-8, came {error}.") from error
    if not isinstance(content, dict):
        raise InvalidAvatar(f"about.json: expected an object, came {type(content).__name__}.")
    if content.get("format") != 1:
        raise InvalidAvatar(f"about.json: format: expected 1, came {content.get('format')!r}.")
    about = About(
        name=_text(content, "name"),
        display_name=_texts(content, "display_name", required=True),
        description=_texts(content, "description", required=True),
        license=_text(content, "license"),
        provenance=_text(content, "provenance"),
        consent=_text(content, "consent"),
        voices=_voices(content),
        persona=_texts(content, "persona", required=False),
    )
    if not _NAME.fullmatch(about.name) or about.name != name:
        raise InvalidAvatar(
            f"about.json: name: expected the folder's name {name!r} in lower-case letters, "
            f"digits, - and _, came {about.name!r}."
        )
    return about


def _text(content: dict[str, Any], key: str) -> str:
    value = content.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InvalidAvatar(f"about.json: {key}: expected a text, came {value!r}.")
    return value


def _texts(content: dict[str, Any], key: str, *, required: bool) -> Mapping[str, str]:
    value = content.get(key, None if required else {})
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InvalidAvatar(f"about.json: {key}: expected texts by language, came {value!r}.")
    if required and not value.get("en", "").strip():
        raise InvalidAvatar(f"about.json: {key}: expected at least 'en', came {sorted(value)}.")
    return MappingProxyType(value)


def _voices(content: dict[str, Any]) -> Mapping[str, Mapping[str, str]]:
    value = content.get("voices", {})
    if not isinstance(value, dict) or not all(isinstance(inner, dict) for inner in value.values()):
        raise InvalidAvatar(f"about.json: voices: expected voices by engine, came {value!r}.")
    return MappingProxyType({engine: _texts(value, engine, required=False) for engine in value})


def _probe_idle(path: Path) -> tuple[int, int, int]:
    """Number of frames, width and height, from the container and without decoding."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InvalidAvatar("idle.mp4: expected a video stream, came none.")
            stream = container.streams.video[0]
            codec, pixels = stream.codec_context.name, stream.codec_context.pix_fmt
            rate, count = stream.average_rate, stream.frames
            width, height = stream.codec_context.width, stream.codec_context.height
    except av.FFmpegError as error:
        raise InvalidAvatar(f"idle.mp4: expected an MP4 with H.264, came {error}.") from error
    if codec != "h264" or pixels != "yuv420p":
        raise InvalidAvatar(f"idle.mp4: expected H.264 in yuv420p, came {codec} in {pixels}.")
    if rate != FRAME_RATE_HZ:
        raise InvalidAvatar(f"idle.mp4: expected {FRAME_RATE_HZ} frames/s, came {rate}.")
    if width % 2 or height % 2 or not 0 < max(width, height) <= MAX_SIDE_PX:
        raise InvalidAvatar(
            f"idle.mp4: expected even sides of at most {MAX_SIDE_PX} px, came {width}x{height}."
        )
    if not 0 < count <= MAX_FRAMES:
        raise InvalidAvatar(f"idle.mp4: expected 1 to {MAX_FRAMES} frames, came {count}.")
    return count, width, height


def _read_image(path: Path) -> ByteArray:
    # imdecode over our own bytes: imread fails without a reason on names outside ASCII.
    data = np.frombuffer(path.read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise InvalidAvatar(f"{path.name}: expected a picture, came one that cannot be decoded.")
    return np.ascontiguousarray(image[..., ::-1], np.uint8)


class _ArraysFile:
    """``avatar.npz``, opened without pickles and with a limit on what it unpacks to."""

    def __init__(self, path: Path) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                total = sum(member.file_size for member in archive.infolist())
            if total > MAX_ARRAY_BYTES:
                raise InvalidAvatar(
                    f"avatar.npz: expected at most {MAX_ARRAY_BYTES} bytes, came {total}."
                )
            self._file = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise InvalidAvatar(f"avatar.npz: expected numpy arrays, came {error}.") from error
        self.keys = frozenset(self._file.files)

    def __enter__(self) -> _ArraysFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def raw(self, key: str) -> npt.NDArray[Any]:
        if key not in self.keys:
            raise InvalidAvatar(f"avatar.npz: {key}: expected this key, came none.")
        try:
            return np.asarray(self._file[key])
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise InvalidAvatar(f"avatar.npz: {key}: expected an array, came {error}.") from error

    def floats(self, key: str, shape: tuple[int, ...]) -> FloatArray:
        array = self.raw(key)
        if array.shape != shape or array.dtype.kind != "f":
            raise InvalidAvatar(
                f"avatar.npz: {key}: expected {shape} float32, came {array.shape} {array.dtype}."
            )
        if not np.isfinite(array).all():
            raise InvalidAvatar(f"avatar.npz: {key}: expected finite numbers, came NaN or inf.")
        return _frozen(array.astype(np.float32))

    def optional(self, key: str, shape: tuple[int, ...]) -> FloatArray | None:
        return self.floats(key, shape) if key in self.keys else None


def _frozen(array: FloatArray) -> FloatArray:
    array.setflags(write=False)
    return array


def _read_arrays(file: _ArraysFile, count: int) -> FaceArrays:
    visibility = file.raw("visibility")
    if visibility.shape != (count, LANDMARK_COUNT) or visibility.dtype != np.bool_:
        raise InvalidAvatar(
            f"avatar.npz: visibility: expected {(count, LANDMARK_COUNT)} bool, "
            f"came {visibility.shape} {visibility.dtype}."
        )
    return FaceArrays(
        landmarks=file.floats("landmarks", (count, LANDMARK_COUNT, 3)),
        visibility=visibility,
        head_rotation=file.floats("head_rotation", (count, 3)),
        neutral_landmarks=file.floats("neutral_landmarks", (LANDMARK_COUNT, 3)),
        eye_closure=file.optional("eye_closure", (count, 2)),
        blendshapes=file.optional("blendshapes", (BLENDSHAPE_COUNT, LANDMARK_COUNT, 3)),
    )


def _read_atlas(file: _ArraysFile, picture: Path) -> MouthAtlas | None:
    present = [key for key in _ATLAS_KEYS if key in file.keys]
    if not present and not picture.exists():
        return None
    if len(present) < len(_ATLAS_KEYS) or not picture.is_file():
        raise InvalidAvatar(
            f"avatar.npz: expected {', '.join(_ATLAS_KEYS)} together with mouth.webp, "
            f"came {', '.join(present) or 'none of the keys'}"
            f"{'' if picture.is_file() else ' without the picture'}."
        )
    names = file.raw("atlas_names")
    if names.ndim != 1 or names.dtype.kind != "U" or not len(names):
        raise InvalidAvatar(
            f"avatar.npz: atlas_names: expected (k,) str, came {names.shape} {names.dtype}."
        )
    count = len(names)
    box = file.floats("atlas_box", (4,))
    if box[2] <= 0 or box[3] <= 0:
        raise InvalidAvatar(
            f"avatar.npz: atlas_box: expected a positive width and height, came {box.tolist()}."
        )
    _read_patches(picture, count)
    return MouthAtlas(
        names=tuple(str(name) for name in names),
        weights=file.floats("atlas_weights", (count, BLENDSHAPE_COUNT)),
        landmarks=file.floats("atlas_landmarks", (count, LANDMARK_COUNT, 3)),
        box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        patches=partial(_read_patches, picture, count),
    )


def _read_patches(picture: Path, count: int) -> ByteArray:
    strip = _read_image(picture)
    if strip.shape[0] % count:
        raise InvalidAvatar(
            f"mouth.webp: expected {count} patches of equal height, came {strip.shape[0]} rows."
        )
    return strip.reshape(count, strip.shape[0] // count, strip.shape[1], 3)
