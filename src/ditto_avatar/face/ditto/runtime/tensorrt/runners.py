"""The backend tensorrt: every network an engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ditto_avatar.errors import Unavailable
from ditto_avatar.face.ditto.checkpoint_files import weights_key
from ditto_avatar.face.ditto.networks import RELEASED, Sizes
from ditto_avatar.face.ditto.networks.pose import MotionOutput
from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.runtime.eager import StepwiseClips
from ditto_avatar.face.ditto.runtime.tensorrt.graphs import specs
from ditto_avatar.face.ditto.runtime.tensorrt.library import (
    architecture,
    libraries,
    load_tensorrt,
)
from ditto_avatar.face.ditto.runtime.tensorrt.plan import (
    FoundEngine,
    engines_folder,
    find_engines,
)
from ditto_avatar.face.ditto.runtime.tensorrt.runner import EngineRunner

# Run for every frame and every clip, and their results are used before they run again.
RECORDED = ("stitch_network", "warp_network", "decoder", "lmdm_encode", "lmdm_step")


def fitting_engines(
    checkpoints: Path, device: torch.device, sizes: Sizes = RELEASED
) -> dict[str, FoundEngine]:
    """The engines of a checkpoint folder for a TensorRT that is installed and this GPU. Reads the
    checkpoint's networks, for seconds, but only where the library and engines are there.

    Raises `Unavailable` with the reason if there are none."""
    load_tensorrt()
    folder = engines_folder(checkpoints)
    if not any(folder.glob("*.engine")):
        raise Unavailable(f"{folder} holds no engines; `ditto-avatar engines build` builds them.")
    chip = architecture(device)
    try:
        weights = weights_key(checkpoints)
    except OSError as error:
        raise Unavailable(f"{error.filename} cannot be read: {error.strerror}.") from error
    reason: Unavailable | None = None
    for library in libraries():
        try:
            return find_engines(folder, specs(sizes), weights, library.version, chip)
        except Unavailable as error:
            reason = error
    assert reason is not None
    raise reason


def tensorrt_runners(
    engines: Mapping[str, FoundEngine], device: torch.device, sizes: Sizes = RELEASED
) -> Runners:
    """Runners out of `fitting_engines`; volumes are kept in what the engines compute in.

    Raises `InvalidCheckpoint` for an engine that cannot be loaded."""
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    run = {
        spec.name: EngineRunner(
            engines[spec.name], spec, device, stream, recorded=spec.name in RECORDED
        )
        for spec in specs(sizes)
    }
    stitch, warp, decoder = run["stitch_network"], run["warp_network"], run["decoder"]

    def appearance(image: Tensor) -> Tensor:
        volume: Tensor = run["appearance_extractor"](image)
        return volume

    def compress(volume: Tensor) -> Tensor:
        """Nothing: the engine of the warp network reads the volume alone."""
        return volume[:, :0]

    def motion(image: Tensor) -> MotionOutput:
        return MotionOutput(*run["motion_extractor"](image))

    def frame(volume: Tensor, compressed: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        faces: Tensor = decoder(warp(volume, source, stitch(source, driving)))
        return faces

    return Runners(
        "tensorrt",
        device,
        run["appearance_extractor"].dtypes["volume"],
        appearance=appearance,
        compress=compress,
        motion=motion,
        frame=frame,
        clip=StepwiseClips(run["lmdm_encode"], run["lmdm_step"]),
        batches=_common(stitch, warp, decoder),
        clip_batches=_common(run["lmdm_encode"], run["lmdm_step"]),
    )


def _common(*runners: EngineRunner) -> tuple[int, ...]:
    """The buckets of the one that takes the fewest."""
    return tuple(sorted(min((runner.batches for runner in runners), key=max)))
