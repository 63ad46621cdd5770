"""The released configuration, a Python pickle, read without running anything in it.

Only plain containers, numbers, texts and numpy arrays are admitted; any other name that the
pickle asks for is refused before it is looked up.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ditto_avatar.errors import InvalidCheckpoint
from ditto_avatar.face.ditto.layout import EXPRESSION, MOTION
from ditto_avatar.face.ditto.options import OVERLAPS
from ditto_avatar.types import FloatArray

MAX_BYTES = 64 * 1024 * 1024


def _numpy_rebuilders() -> dict[str, Callable[..., Any]]:
    """numpy's own functions that arrays and scalars are pickled with."""
    rebuild: Any = np.zeros(1).__reduce__()[0]
    scalar: Any = np.float32(0).__reduce__()[0]
    buffer: Any = np.zeros(1).__reduce_ex__(5)[0]
    return {"_reconstruct": rebuild, "scalar": scalar, "_frombuffer": buffer}


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """Bytes as old pickle protocols write them; no other codec is admitted."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it asks for the codec {encoding!r}")
    return text.encode("latin1")


def _admitted() -> Mapping[tuple[str, str], Any]:
    rebuilders = _numpy_rebuilders()
    names: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("collections", "OrderedDict"): OrderedDict,
        ("_codecs", "encode"): _latin1,
    }
    for kind in (set, frozenset, slice, complex, bytearray):
        names |= {(module, kind.__name__): kind for module in ("builtins", "__builtin__")}
    for package in ("numpy.core", "numpy._core"):
        for part in ("multiarray", "numeric"):
            names |= {(f"{package}.{part}", name): call for name, call in rebuilders.items()}
    return names


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        admitted = _admitted()
        if (module, name) not in admitted:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return admitted[module, name]


def read_pickle(path: Path) -> Any:
    """What a pickle of plain containers and arrays holds. Raises `InvalidCheckpoint`."""
    if not path.is_file():
        raise InvalidCheckpoint(
            f"{path} is missing; `ditto-avatar checkpoints download` fetches the checkpoints."
        )
    if path.stat().st_size > MAX_BYTES:
        raise InvalidCheckpoint(f"{path} is larger than a configuration can be.")
    try:
        return _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
    except pickle.UnpicklingError as error:
        raise InvalidCheckpoint(
            f"{path} was not opened: {error}, and a configuration holds only numbers, texts and "
            "arrays; download it again."
        ) from error
    except Exception as error:  # a damaged pickle fails in any way it likes
        raise InvalidCheckpoint(f"{path} is damaged or cut short; download it again.") from error


@dataclass(frozen=True, slots=True)
class ReleasedConfig:
    """The values that the release was tuned to.

    `overlap` frames between clips while streaming, `reset` and `kept` as in `WindowOptions`,
    `bounds` (2, 265) of the motion, `blink` (m, 63) the expression over a blink, `smooth_source`
    and `smooth_motion` the frames averaged.
    """

    overlap: int = 70
    reset: int = 1
    kept: tuple[int, int] | None = (0, 202)
    bounds: FloatArray | None = None
    blink: FloatArray | None = None
    smooth_source: int = 13
    smooth_motion: int = 3


def read_config(path: Path) -> ReleasedConfig:
    """The streaming values of a released `.pkl`; what it does not hold keeps its default.

    Raises `InvalidCheckpoint` for anything else."""
    content = read_pickle(path)
    values = content.get("default_kwargs") if isinstance(content, dict) else None
    if not isinstance(values, dict):
        raise InvalidCheckpoint(f"{path} should hold 'default_kwargs', a table of values.")
    default = ReleasedConfig()
    online = bool(values.get("online_mode", False))
    bounds = _array(path, values, "v_min_max_for_clip", MOTION)
    # The offline files' overlap is too short to stream with.
    overlap = _whole(path, values, "overlap_v2", default.overlap) if online else default.overlap
    if overlap not in OVERLAPS:
        raise InvalidCheckpoint(
            f"{path}: overlap_v2 should be {OVERLAPS.start} to {OVERLAPS.stop - 1} frames, "
            f"not {overlap}."
        )
    return ReleasedConfig(
        overlap=overlap,
        reset=_whole(path, values, "fix_kp_cond", default.reset) if online else default.reset,
        kept=_range(path, values, "fix_kp_cond_dim") if online else default.kept,
        bounds=None if bounds is None else bounds[:2],
        blink=_array(path, values, "delta_eye_arr", EXPRESSION.stop - EXPRESSION.start),
        smooth_source=_whole(path, values, "smo_k_s", default.smooth_source),
        smooth_motion=_whole(path, values, "smo_k_d", default.smooth_motion),
    )


def _whole(path: Path, values: Mapping[str, Any], key: str, default: int) -> int:
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InvalidCheckpoint(f"{path}: {key} should be a whole number, not {value!r}.")
    return int(value)


def _range(path: Path, values: Mapping[str, Any], key: str) -> tuple[int, int] | None:
    value = values.get(key)
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise InvalidCheckpoint(f"{path}: {key} should be two numbers, not {value!r}.")
    return int(value[0]), int(value[1])


def _array(path: Path, values: Mapping[str, Any], key: str, width: int) -> FloatArray | None:
    value = values.get(key)
    if value is None:
        return None
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.shape[1] != width:
        shape = getattr(value, "shape", type(value).__name__)
        raise InvalidCheckpoint(f"{path}: {key} should have the shape (m, {width}), not {shape}.")
    return value.astype(np.float32)
