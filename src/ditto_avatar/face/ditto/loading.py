"""Read a checkpoint folder into a loaded Ditto."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ditto_avatar.cores import quick_switches
from ditto_avatar.errors import InvalidCheckpoint, Unavailable
from ditto_avatar.face.ditto.audio import PRESENT, WINDOW, Encode, OnnxEncoder
from ditto_avatar.face.ditto.checkpoint_files import FILES, place, weights_key
from ditto_avatar.face.ditto.config import read_config
from ditto_avatar.face.ditto.face_models import FaceDetector, FaceMesh, Landmarks203
from ditto_avatar.face.ditto.load_controller import Capacity, levels
from ditto_avatar.face.ditto.models import Coming, DittoModels, choose_device, limit_memory
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.runtime.base import Runners, on_device, stay_on_device
from ditto_avatar.face.ditto.runtime.beside import Beside
from ditto_avatar.face.ditto.runtime.candidates import COMPILED, asked_for, candidates
from ditto_avatar.face.ditto.runtime.choice import (
    SMALL_BATCHES,
    VALID_FRAMES,
    choose_runners,
    interim_runners,
)
from ditto_avatar.face.ditto.runtime.kernel_cache import keep_kernels
from ditto_avatar.face.ditto.runtime.sound.encoder import (
    BATCHES,
    DeviceEncoder,
    choose_encoder,
    kept_encoder,
)
from ditto_avatar.face.ditto.runtime.tensorrt.plan import engines_folder
from ditto_avatar.face.ditto.runtime.verdicts import Verdicts, verdicts_of
from ditto_avatar.face.ditto.runtime.warming import measure
from ditto_avatar.face.ditto.source import FaceReader
from ditto_avatar.face.ditto.weights import load_network
from ditto_avatar.face.ditto.windows import CLIP_FRAMES
from ditto_avatar.models.files import file_key
from ditto_avatar.types import FRAME_RATE_HZ

# Room for two backends: one takes 3.7 GB in small batches, of which graphs are a third, and cuDNN
# tries the other's algorithms beside it (1.9 GB more, in large batches).
INTERIM_MB = 8_000
# The other half is for what is prepared.
INTERIM_SHARE = 0.5
THREADS = 4
CHOSEN = "chosen"
# The files that decide what a registration holds.
REGISTRATION_FILES = ("motion_extractor", "landmarks", "face_detector", "face_mesh")


def load_models(
    options: DittoOptions,
    progress: Callable[[str], None] | None = None,
    *,
    interim: bool = False,
) -> DittoModels:
    """Reads a checkpoint folder; `progress` is told what is read next. Blocks for seconds. With
    `interim` what draws is there within seconds, too, where compiling takes longer: `coming` makes
    the quick backend.

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
    loading = Loading(options, device, small, tell)
    with on_device(device), quick_switches():
        if interim and (backend := slow_to_prepare(loading)) is not None:
            return loading.interim(backend)
        return loading.whole()


def slow_to_prepare(loading: Loading) -> str | None:
    """The backend that would be compiled while another one draws; None where the one that is asked
    for is there soon, or the device has no room for two. Raises `Unavailable` for one that cannot
    be used."""
    options, device = loading.options, loading.device
    limit = options.device_memory_mb
    if device.type != "cuda" or (limit is not None and limit < INTERIM_MB):
        return None
    wanted = asked_for(candidates(device, options.checkpoints), options.backend)
    if wanted.refused is not None:
        raise Unavailable(f"The backend {wanted.name} cannot be used: {wanted.refused}.")
    return wanted.name if wanted.name in COMPILED else None


@dataclass(slots=True)
class Loading:
    """Reads the files of a checkpoint, those that do not need each other at the same time."""

    options: DittoOptions
    device: torch.device
    small: bool
    tell: Callable[[str], None]

    @property
    def _steps(self) -> set[int]:
        return {quality.steps for quality in levels(self.options.steps, CLIP_FRAMES)}

    @property
    def _batches(self) -> Sequence[int]:
        return SMALL_BATCHES if self.small else BATCHES

    def _place(self, name: str) -> Path:
        return place(self.options.checkpoints, name)

    def whole(self) -> DittoModels:
        """All of it, with the backend that stays."""
        with ThreadPoolExecutor(THREADS, "ditto-load", self._enter) as threads:
            read = self._read(threads)
            sound = threads.submit(self._sound, read)
            networks = self._networks()
            encode = sound.result()  # one recording at a time
            runners = self._runners(networks, read, Beside())
            capacity = None
            if self.device.type == "cuda":
                capacity = measure(runners, self.options.steps)
            return self._models(runners, encode, read, capacity)

    def interim(self, backend: str) -> DittoModels:
        """What draws within seconds, and the way to the quick `backend`."""
        with ThreadPoolExecutor(THREADS, "ditto-load", self._enter) as threads:
            read = self._read(threads)
            sound = threads.submit(self._sound_soon, read)
            networks = self._networks()
            runners = interim_runners(networks, self.device, self.tell, steps=(self.options.steps,))
            capacity = measure(runners, self.options.steps)
            encode = sound.result()
            if isinstance(encode, DeviceEncoder):
                encode.warm_up()
            places = interim_places(capacity, encode)

            def make(beside: Beside) -> DittoModels:
                return self._quick(networks, read, encode, beside)

            coming = Coming(self._expected(backend, read), places, make)
            return self._models(runners, encode, read, capacity, coming)

    def _quick(
        self, networks: Mapping[str, nn.Module], read: _Read, encode: Encode, beside: Beside
    ) -> DittoModels:
        """The same with the quick backend; `encode` has served until now."""
        self._enter()
        with on_device(self.device), own_stream(self.device), quick_switches():
            served = encode
            if not isinstance(served, DeviceEncoder):
                encode = self._sound(read, lambda: served, beside)
            runners = self._runners(networks, read, beside)
            self._verdicts(read).keep(CHOSEN, {"backend": runners.name}, **self._asked())
            capacity = beside.on_device(lambda: measure(runners, self.options.steps))
        return self._models(runners, encode, read, capacity)

    def _expected(self, backend: str, read: _Read) -> str:
        """The name of what will be chosen: the last choice where nothing has changed."""
        if self.options.precision == "int8" and backend == "fused":
            backend = "fused int8"
        kept = self._verdicts(read).find(CHOSEN, **self._asked()) or {}
        return str(kept.get("backend", backend))

    def _asked(self) -> dict[str, object]:
        options = self.options
        return {
            "backend": options.backend,
            "precision": options.precision,
            "small": self.small,
            "steps": sorted(self._steps),
            "engines": sorted(
                path.name for path in engines_folder(options.checkpoints).glob("*.engine")
            ),
        }

    def _enter(self) -> None:
        stay_on_device(self.device)

    def _read(self, threads: ThreadPoolExecutor) -> _Read:
        on_gpu = self.device.type == "cuda"
        return _Read(
            threads.submit(self._reader),
            threads.submit(file_key, map(self._place, REGISTRATION_FILES)),
            threads.submit(file_key, [self._place("audio_encoder")]) if on_gpu else None,
            threads.submit(weights_key, self.options.checkpoints) if on_gpu else None,
        )

    def _reader(self) -> FaceReader:
        kind = str(self.device)
        return FaceReader(
            FaceDetector(self._place("face_detector"), kind),
            FaceMesh(self._place("face_mesh"), kind),
            Landmarks203(self._place("landmarks"), kind),
        )

    def _networks(self) -> dict[str, nn.Module]:
        networks: dict[str, nn.Module] = {}
        for name, entry in FILES.items():
            if entry.network is not None:
                self.tell(entry.path)
                networks[entry.network] = load_network(entry.network, self._place(name))
        self.tell("audio and face models")
        return networks

    def _verdicts(self, read: _Read) -> Verdicts:
        return verdicts_of(self.options.kernel_cache, self.device, weights=read.weights_key())

    def _exact(self) -> Encode:
        return OnnxEncoder(self._place("audio_encoder"), str(self.device))

    def _sound(
        self,
        read: _Read,
        open_exact: Callable[[], Encode] | None = None,
        beside: Beside | None = None,
    ) -> Encode:
        """The audio encoder that stays. Verdicts about it do not depend on the networks."""
        verdicts = verdicts_of(self.options.kernel_cache, self.device)
        path, key = self._place("audio_encoder"), read.sound_key()
        exact = open_exact or self._exact
        return choose_encoder(path, self.device, exact, self._batches, verdicts, key, beside)

    def _sound_soon(self, read: _Read) -> Encode:
        """The one that stays, if it was compared before, else ONNX Runtime."""
        verdicts = verdicts_of(self.options.kernel_cache, self.device)
        path, key = self._place("audio_encoder"), read.sound_key()
        kept = kept_encoder(path, self.device, self._batches, verdicts, key)
        return kept or self._exact()

    def _runners(self, networks: Mapping[str, nn.Module], read: _Read, beside: Beside) -> Runners:
        options = self.options
        return choose_runners(
            networks,
            self.device,
            options.backend,
            self.tell,
            steps=self._steps,
            checkpoints=options.checkpoints,
            precision=options.precision,
            small=self.small,
            limited=options.device_memory_mb is not None,
            verdicts=self._verdicts(read),
            beside=beside,
        )

    def _models(
        self,
        runners: Runners,
        encode: Encode,
        read: _Read,
        capacity: Capacity | None,
        coming: Coming | None = None,
    ) -> DittoModels:
        return DittoModels(
            runners,
            encode,
            read.reader.result(),
            read_config(self._place("config")),
            read.key.result(),
            capacity,
            self._verdicts(read),
            coming,
        )


@dataclass(frozen=True, slots=True)
class _Read:
    """What threads read meanwhile."""

    reader: Future[FaceReader]
    key: Future[str]
    sound: Future[str] | None
    weights: Future[str] | None

    def sound_key(self) -> str:
        """The key of the audio encoder's file; empty on a processor, where nothing is kept."""
        return "" if self.sound is None else self.sound.result()

    def weights_key(self) -> str:
        """The key of the networks' files; empty on a processor."""
        return "" if self.weights is None else self.weights.result()


def interim_places(capacity: Capacity, encode: Encode) -> int:
    """How many streams are admitted while something else is prepared beside them: of what the
    device holds a half, and of what ONNX Runtime encodes."""
    places = capacity.streams(VALID_FRAMES) * INTERIM_SHARE
    if not isinstance(encode, DeviceEncoder):
        silent = np.zeros(WINDOW, np.float32)
        encode(silent)
        begun = time.perf_counter()
        encode(silent)
        windows_s = FRAME_RATE_HZ / PRESENT
        places = min(places, INTERIM_SHARE / (windows_s * (time.perf_counter() - begun)))
    return max(1, int(places))


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Let what this thread asks of a GPU run beside what others ask."""
    if device.type != "cuda":
        yield
        return
    with torch.cuda.stream(torch.cuda.Stream(device)):  # type: ignore[no-untyped-call]
        yield
