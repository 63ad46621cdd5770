"""A loaded Ditto: the networks on their device, the face models, the audio encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from ditto_avatar.errors import Unavailable
from ditto_avatar.face.ditto.audio import Encode
from ditto_avatar.face.ditto.config import ReleasedConfig
from ditto_avatar.face.ditto.load_controller import Capacity
from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.runtime.beside import Beside
from ditto_avatar.face.ditto.runtime.verdicts import Verdicts
from ditto_avatar.face.ditto.source import FaceReader

# What cards with 24 GB have, in bytes.
SMALL_BYTES = 26_000_000_000


@dataclass(frozen=True, slots=True)
class DittoModels:
    """Everything read-only that all viewers share. `key` names the weights that registrations
    depend on; `capacity` is what a GPU was measured to need. `verdicts` keeps what was compared.
    `coming` is the backend that takes over from this one."""

    runners: Runners
    encode: Encode
    reader: FaceReader
    config: ReleasedConfig
    key: str
    capacity: Capacity | None = None
    verdicts: Verdicts = field(default_factory=Verdicts)
    coming: Coming | None = None


@dataclass(frozen=True, slots=True)
class Coming:
    """A backend that is not there yet. `make` blocks for minutes, beside what draws meanwhile at
    most `places` streams; it raises `Stopped`, and whatever a compiler or driver raises."""

    name: str
    places: int
    make: Callable[[Beside], DittoModels]


def choose_device(wanted: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is any. Raises `Unavailable`."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise Unavailable(f"'{wanted}' is no device; use auto, cpu or cuda.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Unavailable("There is no CUDA device for Ditto; use the device cpu or auto.")
    count = torch.cuda.device_count()
    if device.type == "cuda" and device.index is not None and device.index >= count:
        raise Unavailable(f"There is no device {wanted}; there are {count}, counted from cuda:0.")
    return device


def limit_memory(device: torch.device, limit_mb: int | None) -> bool:
    """Take at most `limit_mb` of a GPU from now on; more of it fails as on a smaller card. Return
    whether the card, or what may be taken of it, is small: 24 GB or less."""
    if device.type != "cuda":
        return False
    total = torch.cuda.get_device_properties(device).total_memory
    allowed = total if limit_mb is None else min(total, limit_mb * 1_000_000)
    if allowed < total:
        # It wants a number; None is the current device, which `cuda` without one means.
        torch.cuda.set_per_process_memory_fraction(allowed / total, device.index)
    return allowed <= SMALL_BYTES
