"""A loaded Ditto: the networks on their device, the face models, the audio encoder."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ditto_avatar.errors import InvalidCheckpoint, Unavailable
from ditto_avatar.face.ditto.audio import Encode, OnnxEncoder
from ditto_avatar.face.ditto.checkpoint_files import FILES, place
from ditto_avatar.face.ditto.config import ReleasedConfig, read_config
from ditto_avatar.face.ditto.face_models import FaceDetector, FaceMesh, Landmarks203
from ditto_avatar.face.ditto.options import Backend, DittoOptions
from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.runtime.eager import eager_runners
from ditto_avatar.face.ditto.source import FaceReader
from ditto_avatar.face.ditto.weights import load_network

log = logging.getLogger(__name__)

# The files that decide what a registration holds.
REGISTRATION_FILES = ("motion_extractor", "landmarks", "face_detector", "face_mesh")


@dataclass(frozen=True, slots=True)
class DittoModels:
    """Everything read-only that all viewers share. `key` names the weights that registrations
    depend on."""

    runners: Runners
    encode: Encode
    reader: FaceReader
    config: ReleasedConfig
    key: str


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
    return device


def make_runners(
    networks: Mapping[str, nn.Module], device: torch.device, backend: Backend
) -> Runners:
    """The best runners for a device, or those asked for; why others were passed over is logged."""
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    if backend == "eager":
        return eager_runners(networks, device, dtype)
    return _compiled_or_eager(networks, device, dtype, backend)


def _compiled_or_eager(
    networks: Mapping[str, nn.Module], device: torch.device, dtype: torch.dtype, backend: Backend
) -> Runners:
    if backend == "auto" and device.type == "cpu":
        log.info("Ditto runs eagerly on the CPU: compiling pays off on a GPU only.")
    return eager_runners(networks, device, dtype)


def file_key(paths: Iterable[Path]) -> str:
    """Twelve hex digits that change with the files' content."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


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
    tell = progress or (lambda name: None)
    networks: dict[str, nn.Module] = {}
    for name, entry in FILES.items():
        if entry.network is not None:
            tell(entry.path)
            networks[entry.network] = load_network(entry.network, place(folder, name))
    tell("audio and face models")
    kind = device.type
    reader = FaceReader(
        FaceDetector(place(folder, "face_detector"), kind),
        FaceMesh(place(folder, "face_mesh"), kind),
        Landmarks203(place(folder, "landmarks"), kind),
    )
    return DittoModels(
        make_runners(networks, device, options.backend),
        OnnxEncoder(place(folder, "audio_encoder"), kind),
        reader,
        read_config(place(folder, "config")),
        file_key(place(folder, name) for name in REGISTRATION_FILES),
    )
