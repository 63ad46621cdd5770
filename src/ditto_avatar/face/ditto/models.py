"""A loaded Ditto: the networks on their device, the face models, the audio encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ditto_avatar.errors import InvalidCheckpoint, Unavailable
from ditto_avatar.face.ditto.audio import Encode, OnnxEncoder
from ditto_avatar.face.ditto.checkpoint_files import FILES, place
from ditto_avatar.face.ditto.config import ReleasedConfig, read_config
from ditto_avatar.face.ditto.face_models import FaceDetector, FaceMesh, Landmarks203
from ditto_avatar.face.ditto.load_controller import Capacity, levels
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.runtime.base import Runners, on_device
from ditto_avatar.face.ditto.runtime.choice import SMALL_BATCHES, choose_runners, measure
from ditto_avatar.face.ditto.runtime.kernel_cache import keep_kernels
from ditto_avatar.face.ditto.runtime.sound.encoder import BATCHES, choose_encoder
from ditto_avatar.face.ditto.source import FaceReader
from ditto_avatar.face.ditto.weights import load_network
from ditto_avatar.face.ditto.windows import CLIP_FRAMES
from ditto_avatar.models.files import file_key

# What cards with 24 GB have, in bytes.
SMALL_BYTES = 26_000_000_000
# The files that decide what a registration holds.
REGISTRATION_FILES = ("motion_extractor", "landmarks", "face_detector", "face_mesh")


@dataclass(frozen=True, slots=True)
class DittoModels:
    """Everything read-only that all viewers share. `key` names the weights that registrations
    depend on; `capacity` is what a GPU was measured to need."""

    runners: Runners
    encode: Encode
    reader: FaceReader
    config: ReleasedConfig
    key: str
    capacity: Capacity | None = None


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


def load_models(
    options: DittoOptions, progress: Callable[[str], None] | None = None
) -> DittoModels:
    """Reads a checkpoint folder; `progress` is told what is read next. Blocks for seconds.

    Raises `InvalidCheckpoint` for a missing, damaged or foreign file, `Unavailable` for a device
    or library that is not there."""
    folder = options.checkpoints
    missing = [entry.path for name, entry in FILES.items() if not place(folder, name).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more files are" if len(missing) > 1 else " is"
        raise InvalidCheckpoint(
            f"{folder}: {missing[0]}{more} missing; `ditto-avatar checkpoints download` fetches "
            "them."
        )
    device = choose_device(options.device)
    if options.kernel_cache is not None and device.type == "cuda":
        keep_kernels(options.kernel_cache)
    tell = progress or (lambda name: None)
    small = limit_memory(device, options.device_memory_mb)
    networks: dict[str, nn.Module] = {}
    for name, entry in FILES.items():
        if entry.network is not None:
            tell(entry.path)
            networks[entry.network] = load_network(entry.network, place(folder, name))
    tell("audio and face models")
    kind = str(device)
    reader = FaceReader(
        FaceDetector(place(folder, "face_detector"), kind),
        FaceMesh(place(folder, "face_mesh"), kind),
        Landmarks203(place(folder, "landmarks"), kind),
    )
    sound = place(folder, "audio_encoder")
    with on_device(device):
        batches = SMALL_BATCHES if small else BATCHES
        encode = choose_encoder(sound, device, OnnxEncoder(sound, kind), batches)
        runners = choose_runners(
            networks,
            device,
            options.backend,
            tell,
            steps={quality.steps for quality in levels(options.steps, CLIP_FRAMES)},
            checkpoints=folder,
            precision=options.precision,
            small=small,
        )
        capacity = measure(runners, options.steps) if device.type == "cuda" else None
    return DittoModels(
        runners,
        encode,
        reader,
        read_config(place(folder, "config")),
        file_key(place(folder, name) for name in REGISTRATION_FILES),
        capacity,
    )
