"""The avatar pack on disk: read once and checked completely.

The format is described in ``docs/avatar-pack.md``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.arrays_file import ArraysFile
from ditto_avatar.face.avatar import About, Avatar, FaceArrays, MouthAtlas
from ditto_avatar.face.idle import IdleFrames, IdleMemory
from ditto_avatar.face.reading import expecting, read_file, read_picture
from ditto_avatar.face.unpack import UnpackedFolder, pack_in, unpack
from ditto_avatar.media.source import MP4, open_media
from ditto_avatar.types import FRAME_RATE_HZ, ByteArray

LANDMARK_COUNT = 478
BLENDSHAPE_COUNT = 52
MAX_FRAMES = 3_000
MAX_SIDE_PX = 2_160
MAX_ABOUT_BYTES = 64 * 1024
# Points may lie outside of the frame, but not anywhere.
MAX_PLACE_PX = 4 * MAX_SIDE_PX
MAX_WEIGHT = 10

DRAWN_FILES = ("idle.mp4", "avatar.npz", "mouth.webp")
PACK_FILES = (*DRAWN_FILES, "cutout.mp4", "poster.webp", "about.json")

_BLOCK_BYTES = 1 << 20
_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_ATLAS_KEYS = ("atlas_names", "atlas_weights", "atlas_landmarks", "atlas_box")


def load_avatar(path: Path, memory: IdleMemory | None = None) -> Avatar:
    """Read the pack at `path`, a folder or a ``.zip``. Pictures of its idle loop are kept in
    `memory`, which avatars may share.

    For packs of our own: a stranger's pack goes through `face.library`, which opens it in a child
    process first. Raises `InvalidAvatar` with one sentence that names the file, the key, what was
    expected and what came. Blocks.
    """
    with expecting(path.name, "a pack that can be read"):
        if path.is_dir():
            return load_folder(path, path.name, None, memory)
        if not path.is_file():
            raise InvalidAvatar(
                f"{path.name}: expected a folder or a zip, came nothing at this path."
            )
    owner = UnpackedFolder()
    try:
        unpack(path, owner.path)
        return load_folder(*pack_in(owner.path, path), owner, memory)
    except BaseException:
        owner.remove()
        raise


def load_folder(
    folder: Path, name: str, unpacked: UnpackedFolder | None, memory: IdleMemory | None
) -> Avatar:
    """Read the pack in `folder`, whose avatar must be called `name`. `unpacked` is the temporary
    folder that it may lie in. Raises `InvalidAvatar`. Blocks."""
    about = _read_about(folder, name)
    count, width, height = _probe_idle(_existing(folder, "idle.mp4"))
    read_picture(_existing(folder, "poster.webp"))
    with ArraysFile(_existing(folder, "avatar.npz")) as file:
        arrays = _read_arrays(file, count)
        atlas = _read_atlas(file, folder / "mouth.webp")
    idle = IdleFrames(folder / "idle.mp4", count, width, height, memory)
    fingerprint = pack_fingerprint(folder)
    return Avatar(
        about.name,
        folder,
        about,
        arrays,
        atlas,
        width,
        height,
        fingerprint,
        idle,
        _cutout_frames(folder, (count, width, height), memory),
        _unpacked=unpacked,
    )


def _cutout_frames(
    folder: Path, loop: tuple[int, int, int], memory: IdleMemory | None
) -> IdleFrames | None:
    """The packed loop of a pack that has one: as many frames as the `loop`, twice as high."""
    path = folder / "cutout.mp4"
    if not path.is_file():
        return None
    count, width, height = loop
    found = _probe_idle(path)
    if found != (count, width, 2 * height):
        raise InvalidAvatar(
            f"cutout.mp4: expected {count} frames of {width}x{2 * height} px, "
            f"came {found[0]} of {found[1]}x{found[2]}."
        )
    return IdleFrames(path, count, width, 2 * height, memory)


def find_avatars(folder: Path) -> list[Path]:
    """The packs in `folder`, by name: folders that hold an ``about.json``, and zips."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if _may_be_a_pack(entry))


def _may_be_a_pack(entry: Path) -> bool:
    try:
        return (entry / "about.json").is_file() or (entry.is_file() and entry.suffix == ".zip")
    except OSError:
        # Opening it will say why it cannot be read.
        return True


def pack_fingerprint(folder: Path) -> str:
    """What `Avatar.fingerprint` says of the pack in `folder`."""
    return _digest(folder, DRAWN_FILES)[:16]


def cutout_fingerprint(folder: Path) -> str:
    """Digest of the loop without background of the pack in `folder`."""
    return _digest(folder, ("cutout.mp4",))[:16]


def pack_digest(folder: Path) -> str:
    """Digest of all files of the pack in `folder`: it tells whether these are the bytes that were
    checked. Raises `InvalidAvatar` where they cannot be read."""
    return _digest(folder, PACK_FILES)


def _digest(folder: Path, names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        path = folder / name
        with expecting(name, "a file that can be read"):
            if not path.is_file():
                continue
            with path.open("rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    digest.update(block)
    return digest.hexdigest()


def check_name(name: str) -> None:
    """Raise `InvalidAvatar` when no avatar can be called `name`."""
    if not _NAME.fullmatch(name):
        raise InvalidAvatar(
            f"{name!r} cannot be the name of an avatar: expected 1 to 64 lower-case letters, "
            "digits, - and _."
        )


def _existing(folder: Path, name: str) -> Path:
    path = folder / name
    with expecting(name, "a file that can be read"):
        found = path.is_file()
    if not found:
        raise InvalidAvatar(f"{name}: expected in the pack {folder.name!r}, came no such file.")
    return path


def _read_about(folder: Path, name: str) -> About:
    path = _existing(folder, "about.json")
    data = read_file(path, MAX_ABOUT_BYTES)
    with expecting("about.json", "JSON in UTF-8"):
        content = json.loads(data.decode("utf-8"))
        # Half an emoji in an escape is JSON, but no page could be told it.
        json.dumps(content, ensure_ascii=False).encode()
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
    with expecting(path.name, "an MP4 with H.264"), open_media(path, MP4) as container:
        if not container.streams.video:
            raise InvalidAvatar(f"{path.name}: expected a video stream, came none.")
        stream = container.streams.video[0]
        codec, pixels = stream.codec_context.name, stream.codec_context.pix_fmt
        rate, count = stream.average_rate, stream.frames
        width, height = stream.codec_context.width, stream.codec_context.height
    if codec != "h264" or pixels != "yuv420p":
        raise InvalidAvatar(f"{path.name}: expected H.264 in yuv420p, came {codec} in {pixels}.")
    if rate != FRAME_RATE_HZ:
        raise InvalidAvatar(f"{path.name}: expected {FRAME_RATE_HZ} frames/s, came {rate}.")
    if width % 2 or height % 2 or not 0 < max(width, height) <= MAX_SIDE_PX:
        raise InvalidAvatar(
            f"{path.name}: expected even sides of at most {MAX_SIDE_PX} px, came {width}x{height}."
        )
    if not 0 < count <= MAX_FRAMES:
        raise InvalidAvatar(f"{path.name}: expected 1 to {MAX_FRAMES} frames, came {count}.")
    return count, width, height


def _read_arrays(file: ArraysFile, count: int) -> FaceArrays:
    visibility = file.raw("visibility")
    if visibility.shape != (count, LANDMARK_COUNT) or visibility.dtype != np.bool_:
        raise InvalidAvatar(
            f"avatar.npz: visibility: expected {(count, LANDMARK_COUNT)} bool, "
            f"came {visibility.shape} {visibility.dtype}."
        )
    return FaceArrays(
        landmarks=file.floats("landmarks", (count, LANDMARK_COUNT, 3), MAX_PLACE_PX),
        visibility=visibility,
        head_rotation=file.floats("head_rotation", (count, 3), 360),
        neutral_landmarks=file.floats("neutral_landmarks", (LANDMARK_COUNT, 3), MAX_PLACE_PX),
        eye_closure=file.optional("eye_closure", (count, 2), MAX_WEIGHT),
        blendshapes=file.optional(
            "blendshapes", (BLENDSHAPE_COUNT, LANDMARK_COUNT, 3), MAX_PLACE_PX
        ),
    )


def _read_atlas(file: ArraysFile, picture: Path) -> MouthAtlas | None:
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
    box = file.floats("atlas_box", (4,), MAX_SIDE_PX)
    if box[2] <= 0 or box[3] <= 0:
        raise InvalidAvatar(
            f"avatar.npz: atlas_box: expected a positive width and height, came {box.tolist()}."
        )
    _read_patches(picture, count)
    return MouthAtlas(
        names=_names(names),
        weights=file.floats("atlas_weights", (count, BLENDSHAPE_COUNT), MAX_WEIGHT),
        landmarks=file.floats("atlas_landmarks", (count, LANDMARK_COUNT, 3), MAX_PLACE_PX),
        box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        patches=partial(_read_patches, picture, count),
    )


def _names(array: npt.NDArray[Any]) -> tuple[str, ...]:
    with expecting("avatar.npz: atlas_names", "texts"):
        return tuple(str(name) for name in array)


def _read_patches(picture: Path, count: int) -> ByteArray:
    strip = read_picture(picture)
    if strip.shape[0] % count:
        raise InvalidAvatar(
            f"mouth.webp: expected {count} patches of equal height, came {strip.shape[0]} rows."
        )
    return strip.reshape(count, strip.shape[0] // count, strip.shape[1], 3)
