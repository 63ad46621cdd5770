"""What the steady state takes of the device: no memory that it has not got already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.gpu import frame_jobs, source_picture
from ditto_avatar.face.ditto.audio import WINDOW
from ditto_avatar.face.ditto.layout import MOTION
from ditto_avatar.face.ditto.models import limit_memory
from ditto_avatar.face.ditto.networks import RELEASED
from ditto_avatar.face.ditto.pipeline import ClipJob, Pipeline
from ditto_avatar.face.ditto.runtime.compiled import CompileOptions, compiled_runners
from ditto_avatar.face.ditto.runtime.sound.encoder import DeviceEncoder, GraphNetwork
from ditto_avatar.face.ditto.runtime.sound.fuse import fuse
from ditto_avatar.face.ditto.runtime.sound.graph import read_graph
from ditto_avatar.face.ditto.sampler import SeededNoise
from ditto_avatar.face.ditto.weights import from_tensors
from ditto_avatar.face.ditto.windows import CLIP_FRAMES, ClipRequest
from tests.face.ditto.hubert import FEW_LAYERS, write_hubert
from tests.face.ditto.reference import tensors

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
NETWORKS = (
    "appearance_extractor",
    "motion_extractor",
    "warp_network",
    "decoder",
    "stitch_network",
    "lmdm",
)


def taken() -> tuple[int, int]:
    """How often memory of the device, and pinned memory of the host, was asked for."""
    device = torch.cuda.memory_stats()["num_device_alloc"]
    host = torch.cuda.host_memory_stats()["num_host_alloc"]
    return device, host


def test_batches_take_no_new_memory_once_each_size_was_used(tmp_path: Path) -> None:
    """Frames, clips and sound in turn, two batches on the way at any time."""
    cuda = torch.device("cuda")
    networks = {name: from_tensors(name, tensors(name)) for name in NETWORKS}
    options = CompileOptions(compiler=None, batches=(1, 4), clip_batches=(1, 4))
    pipeline = Pipeline(compiled_runners(networks, cuda, options=options), 3)
    picture = source_picture(pipeline, 0)
    graph, _ = read_graph(
        write_hubert(tmp_path / "encoder.onnx", FEW_LAYERS), "input_values", torch.zeros(1, WINDOW)
    )
    encoder = DeviceEncoder(GraphNetwork(fuse(graph)), cuda, torch.float16, (1, 4))
    noise = SeededNoise(0, (CLIP_FRAMES, MOTION), cuda)
    rng = np.random.default_rng(0)
    condition = rng.standard_normal((CLIP_FRAMES, RELEASED.condition)).astype(np.float32)

    def begun(turn: int) -> list[Callable[[], object]]:
        count = (1, 4, 3)[turn % 3]
        request = ClipRequest(condition, condition[0, :MOTION], turn)
        windows = [rng.standard_normal(WINDOW).astype(np.float32)] * count
        return [
            pipeline.begin(frame_jobs(picture, count)).frames,
            pipeline.begin_clips([ClipJob(request, noise)] * count),
            encoder.begin(windows),
        ]

    def play(turns: int) -> None:
        flying: list[Callable[[], object]] = []
        for turn in range(turns):
            following = begun(turn)
            for results in flying:
                results()
            flying = following
        for results in flying:
            results()

    play(9)
    before = taken()
    play(30)
    assert taken() == before


def test_no_more_memory_is_taken_than_was_allowed() -> None:
    """As on a card of that size: what goes beyond fails."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    try:
        assert limit_memory(torch.device("cuda"), 2_000)
        with pytest.raises(torch.cuda.OutOfMemoryError):
            torch.empty(3_000_000_000, dtype=torch.uint8, device="cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert torch.empty(min(3_000_000_000, total // 4), dtype=torch.uint8, device="cuda").is_cuda
