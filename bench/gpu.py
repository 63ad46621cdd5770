"""Ditto on a GPU against Ditto as released, both in one run, with stand-in weights.

    PYTHONPATH=src python -m bench.gpu --out bench/results/h200.json

Needs torch, numpy and OpenCV. Times are medians of 30 runs after warm-up, on random data.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.gpu_viewers import most_streams
from bench.released import ReleasedDecoder, ReleasedDiffusion, ReleasedWarp
from ditto_avatar.face.ditto import weights
from ditto_avatar.face.ditto.composite import blend, face_box, prepare, to_i420
from ditto_avatar.face.ditto.networks import Decoder, WarpNetwork
from ditto_avatar.face.ditto.pipeline import FrameJob, Pipeline, SourcePicture
from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.runtime.compiled import CompileOptions, compiled_runners
from ditto_avatar.face.ditto.runtime.eager import eager_runners
from ditto_avatar.face.ditto.runtime.fused.support import kernels_refused
from ditto_avatar.face.ditto.runtime.parity import psnr_db
from ditto_avatar.face.ditto.sampler import schedule
from tests.face.ditto import seeded

STEPS = 10
PEAK_TFLOPS = 790.0  # what this chip reaches on half-precision matrix products
# `fused` reads each plane of an enlarged map once (version 11 in docs/performance.md).
FRAME_TFLOP, FUSED_FRAME_TFLOP, CLIP_STEP_TFLOP = 1.234, 1.172, 0.0104
SIDE = 512
MATRIX = np.array([[0.62, 0.03, 90.0], [-0.03, 0.62, 60.0], [0, 0, 1]], np.float32)

Figures = dict[str, Any]


def say(text: str) -> None:
    sys.stdout.write(f"[{time.perf_counter() - BEGAN:6.1f} s] {text}\n")
    sys.stdout.flush()


BEGAN = time.perf_counter()


class Memory:
    """The device memory that is taken while this is entered: `peak_mb` in all, with what graphs
    keep for themselves, `added_mb` by tensors beyond those that were there before."""

    def __init__(self, device: torch.device) -> None:
        self.on = device.type == "cuda"
        self.peak_mb = self.added_mb = 0.0

    def __enter__(self) -> Memory:
        if self.on:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self.before_mb = torch.cuda.memory_allocated() / 1e6
        return self

    def __exit__(self, *_: object) -> None:
        if self.on:
            self.peak_mb = torch.cuda.max_memory_reserved() / 1e6
            self.added_mb = torch.cuda.max_memory_allocated() / 1e6 - self.before_mb


class Repeats:
    """How often each call is timed; fewer to try the bench out."""

    count = 30


def standin_tensors() -> dict[str, dict[str, Tensor]]:
    """The stand-in checkpoint, under the released names."""
    return {
        name: {
            key: torch.from_numpy(np.asarray(value))
            for key, value in seeded.state_dict(name, entry.shapes, 0).items()
        }
        for name, entry in weights.manifest().items()
    }


def wait() -> None:
    """Until the GPU is idle."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def milliseconds(call: Callable[[], object], repeats: int | None = None, warm: int = 3) -> float:
    """The median time of a call whose work ends on the GPU or on the host."""
    for _ in range(warm):
        call()
    times = []
    for _ in range(repeats or Repeats.count):
        wait()
        begun = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - begun)
    return 1000 * float(np.median(times))


# Inputs --------------------------------------------------------------------------------------


def keypoints(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    source = 0.3 * torch.from_numpy(seeded.normal("bench/source", (1, 21, 3), seed))
    delta = torch.from_numpy(seeded.normal("bench/delta", (count, 21, 3), seed))
    return source.expand(count, -1, -1).contiguous(), source + 0.05 * delta


def source_picture(
    pipeline: Pipeline, seed: int, width: int = SIDE, height: int = SIDE
) -> SourcePicture:
    """A random portrait, registered as the engine registers one; its face is as large a part of
    the picture's height whatever that is."""
    noise = seeded.normal("bench/picture", (SIDE, SIDE, 3), seed)
    portrait = (255 / (1 + np.exp(-noise))).astype(np.uint8)
    crop = np.ascontiguousarray(portrait[::2, ::2])
    volume, compressed = pipeline.features([crop])[0]
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[:SIDE, :SIDE] = portrait
    matrix = np.diag([height / SIDE, height / SIDE, 1]).astype(np.float32) @ MATRIX
    box = face_box(matrix[None], width, height)[0]
    yuv = np.full((height * 3 // 2, width), 90, np.uint8)
    return SourcePicture(
        volume, compressed, prepare(picture, yuv, matrix, box, pipeline.runners.device)
    )


def frame_jobs(picture: SourcePicture, count: int) -> list[FrameJob]:
    source, driving = keypoints(count)
    return [FrameJob(picture, s, d) for s, d in zip(source.numpy(), driving.numpy(), strict=True)]


def clip_inputs(count: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    def draw(label: str, *shape: int) -> Tensor:
        return torch.from_numpy(seeded.normal(f"bench/{label}", shape, 0)).to(device)

    return (
        draw("condition", count, 80, 1103),
        draw("first", count, 265),
        draw("start", count, 80, 265),
        draw("noises", STEPS - 1, count, 80, 265),
    )


# The released way ----------------------------------------------------------------------------


class Released:
    """Eager, autocast to half, one frame at a time, through host memory after every network."""

    def __init__(self, tensors: dict[str, dict[str, Tensor]], device: torch.device) -> None:
        self.device = device
        self.half = torch.float16 if device.type == "cuda" else torch.bfloat16

        def loaded(module: nn.Module, name: str) -> nn.Module:
            module.load_state_dict(tensors[name], strict=name != "lmdm")
            return module.to(device).eval().requires_grad_(False)

        self.warp = loaded(ReleasedWarp(), "warp_network")
        self.decoder = loaded(ReleasedDecoder(), "decoder")
        self.diffusion = loaded(ReleasedDiffusion(), "lmdm")
        self.stitch = weights.from_tensors("stitch_network", tensors["stitch_network"]).to(device)

    @torch.no_grad()
    def frame(self, volume: Any, source: Any, driving: Any) -> Any:
        def there(array: Any) -> Tensor:
            return torch.from_numpy(array).to(self.device)

        driving = self.stitch(there(source), there(driving)).cpu().numpy()
        with torch.autocast(self.device.type, self.half):
            features = self.warp(there(volume), there(source), there(driving))
        features = features.float().cpu().numpy()
        with torch.autocast(self.device.type, self.half):
            face = self.decoder(there(features))
        face = face.float().cpu().numpy()
        return np.transpose(face[0], (1, 2, 0)).clip(0, 1) * 255

    @torch.no_grad()
    def clip(self, condition: Any, first: Any, start: Any, noises: Any) -> Any:
        condition, first, x = (
            torch.from_numpy(a).to(self.device) for a in (condition, first, start)
        )
        for index, step in enumerate(schedule(STEPS)):
            clean = self.diffusion(
                x, first, condition, torch.tensor([step.time], device=self.device)
            )
            noise = step.noise_x * x - step.noise_start * clean
            if index == STEPS - 1:
                return clean.cpu().numpy()
            x = step.keep * clean + step.direct * noise + step.fresh * noises[index]


def measure_released(tensors: dict[str, dict[str, Tensor]], device: torch.device) -> Figures:
    released = Released(tensors, device)
    volume = seeded.normal("bench/volume", (1, 32, 16, 64, 64), 0)
    source, driving = (points.numpy() for points in keypoints(1))
    condition, first, start, noises = clip_inputs(1, device)
    host = [tensor.cpu().numpy() for tensor in (condition, first, start)]
    return {
        "reference_frame_ms": milliseconds(lambda: released.frame(volume, source, driving)),
        "reference_clip_ms": milliseconds(lambda: released.clip(host[0], host[1], host[2], noises)),
    }


# This way ------------------------------------------------------------------------------------


def seconds_in_flight(pipeline: Pipeline, jobs: list[FrameJob]) -> float:
    """The median time a batch takes when, as in the engine, the next one is begun before the
    pictures of the last one are fetched."""
    times = []
    flying = pipeline.begin(jobs)
    for _ in range(3 + Repeats.count):
        begun = time.perf_counter()
        following = pipeline.begin(jobs)
        flying.frames()
        flying = following
        times.append(time.perf_counter() - begun)
    flying.frames()
    return float(np.median(times[3:]))


def measure_frames(pipeline: Pipeline, picture: SourcePicture) -> Figures:
    """Frames a second from keypoints on the host to I420 on the host, and where the time goes."""
    result: dict[str, float] = {}
    for batch in pipeline.runners.batches:
        result[str(batch)] = batch / seconds_in_flight(pipeline, frame_jobs(picture, batch))
    batch = pipeline.runners.batches[-1]
    jobs = frame_jobs(picture, batch)
    drop = picture.backdrop
    drawn = milliseconds(lambda: pipeline.draw(jobs))
    faces = pipeline.draw(jobs)

    @torch.inference_mode()
    def put_back() -> Tensor:
        boxes = (drop.grid, drop.mask, drop.picture)
        return to_i420(blend(faces, *(torch.stack([t] * batch) for t in boxes)))

    return {
        "frames_per_s": result,
        "stage_ms_per_frame": {
            "stitch_warp_decode": drawn / batch,
            "composite_yuv": milliseconds(put_back) / batch,
            "whole": 1000 / result[str(batch)],
        },
    }


def measure_sizes(pipeline: Pipeline) -> Figures:
    """Frames a second of pictures that are composed at full size, in the largest batch."""
    batch = pipeline.runners.batches[-1]
    result = {}
    for name, (width, height) in {"720p": (1280, 720), "1080p": (1920, 1080)}.items():
        picture = source_picture(pipeline, 0, width, height)
        result[name] = batch / seconds_in_flight(pipeline, frame_jobs(picture, batch))
    return {"frames_per_s_of_size": result}


def _fetched(runners: Runners, inputs: tuple[Tensor, ...]) -> Tensor:
    return runners.clip(*inputs).cpu()


def measure_clips(runners: Runners) -> Figures:
    result = {}
    for count in (1, 8, 16):
        inputs = clip_inputs(count, runners.device)
        with torch.inference_mode():
            result[str(count)] = milliseconds(partial(_fetched, runners, inputs))
    return {"clip_ms": result}


@torch.inference_mode()
def measure_quality(exact: Pipeline, fast: Pipeline) -> Figures:
    """PSNR of whole frames against float32, and the distance of clips."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    batch = fast.runners.batches[-1]
    pictures = [source_picture(pipeline, 1) for pipeline in (exact, fast)]
    faces = []
    for pipeline, picture in zip((exact, fast), pictures, strict=True):
        jobs = frame_jobs(picture, batch)
        drop = picture.backdrop
        boxes = (drop.grid, drop.mask, drop.picture)
        # The exact ones one by one, the fast ones in the batch that was timed.
        groups = [[job] for job in jobs] if pipeline is exact else [jobs]
        drawn = torch.cat([pipeline.draw(group).clone() for group in groups])
        faces.append(blend(drawn, *(torch.stack([t] * batch) for t in boxes)))
    error = (faces[0] - faces[1]).square().mean()
    count = fast.runners.clip_batches[-1]
    clips = [
        pipeline.runners.clip(*clip_inputs(count, exact.runners.device)).clone()
        for pipeline in (exact, fast)
    ]
    torch.backends.cudnn.allow_tf32 = True
    return {
        "psnr_db": float(10 * torch.log10(255**2 / error)),
        "clip_distance": float((clips[0] - clips[1]).norm() / clips[0].norm()),
    }


def measure_eight_bits(
    networks: dict[str, nn.Module],
    device: torch.device,
    options: CompileOptions,
    exact: Pipeline,
    seconds: float,
) -> Figures:
    """The same with integers of eight bits (`DITTO_PRECISION=int8`). Batches of one are left out:
    full ones are what it is for."""
    options = replace(options, eight_bits=True, batches=options.batches[1:])
    pipeline = Pipeline(compiled_runners(networks, device, torch.float16, options), STEPS)
    pictures = [source_picture(pipeline, seed) for seed in range(4)]
    speeds: dict[str, float] = {}
    for batch in options.batches:
        jobs = frame_jobs(pictures[0], batch)
        pipeline.render(jobs)
        say(f"frames of {batch} in eight bits compiled")
        speeds[str(batch)] = batch / seconds_in_flight(pipeline, jobs)
    for batch in options.clip_batches:
        with torch.inference_mode():
            pipeline.runners.clip(*clip_inputs(batch, device))
    return {
        "frames_per_s": speeds,
        "streams": most_streams(pipeline, pictures, seconds, say)["streams"],
        "psnr_db": measure_quality(exact, pipeline)["psnr_db"],
        "psnr_db_of_faces": psnr_db(pipeline.runners, exact.runners),
    }


def measure_first_frame(pipeline: Pipeline, picture: SourcePicture) -> Figures:
    """From the speech features of a first clip to its first frame on the host: two clips (the
    silent one and the first shown) and one frame."""
    inputs = clip_inputs(1, pipeline.runners.device)
    jobs = frame_jobs(picture, 1)

    def first() -> None:
        with torch.inference_mode():
            for _ in range(2):
                _fetched(pipeline.runners, inputs)
        pipeline.render(jobs)

    return {"first_frame_ms": milliseconds(first)}


def explore(tensors: dict[str, dict[str, Tensor]], device: torch.device) -> Figures:
    """Single networks in several layouts, batch 8, in milliseconds a frame."""
    result: Figures = {}
    batch = 8
    volume = torch.randn(batch, 32, 16, 64, 64, device=device, dtype=torch.float16)
    features = torch.randn(batch, 256, 64, 64, device=device, dtype=torch.float16)
    source, driving = (points.to(device) for points in keypoints(batch))

    def timed(name: str, call: Callable[[], object]) -> None:
        try:
            with torch.inference_mode():
                result[name] = milliseconds(call, repeats=10, warm=3) / batch
        except Exception as error:  # a variant that does not run is a finding, too
            result[name] = f"{type(error).__name__}: {str(error)[:120]}"
        say(f"  {name}: {result[name]}")

    for layout in ("rows", "channels"):
        decoder: Any = weights.from_tensors("decoder", tensors["decoder"]).to(device).half()
        warp: Any = weights.from_tensors("warp_network", tensors["warp_network"]).to(device).half()
        assert isinstance(decoder, Decoder)
        assert isinstance(warp, WarpNetwork)
        if layout == "channels":
            decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            warp.hourglass.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
            warp.heads.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        compressed = warp.compress(volume)
        timed(f"decoder {layout} eager", partial(decoder, features))
        timed(
            f"warp {layout} eager",
            partial(warp, volume, source, driving, compressed),
        )
        hidden = torch.randn(batch, 112, 16, 64, 64, device=device, dtype=torch.float16)
        wide = torch.randn(batch, 144, 16, 64, 64, device=device, dtype=torch.float16)
        if layout == "channels":
            hidden = hidden.to(memory_format=torch.channels_last_3d)
            wide = wide.to(memory_format=torch.channels_last_3d)
        timed(f"  hourglass {layout}", partial(warp.hourglass, hidden))
        timed(f"  heads {layout}", partial(warp.heads, wide))
        for name in ("hidden", "hidden_x2", "hidden_x4"):
            timed(f"  {name} {layout}", partial(getattr(decoder, name), features))
    return {"explored_ms_per_frame": result}


def machine() -> Figures:
    found: Figures = {"torch": torch.__version__, "python": sys.version.split()[0]}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        command = ["nvidia-smi", "--query-gpu=driver_version,clocks.max.sm,clocks.sm"]
        clocks = subprocess.run([*command, "--format=csv"], capture_output=True, text=True)
        found |= {
            "gpu": properties.name,
            "memory_gb": round(properties.total_memory / 1e9),
            "clocks": clocks.stdout.strip().splitlines()[-1:],
            "cuda": torch.version.cuda,
        }
        with suppress(metadata.PackageNotFoundError):
            found["triton"] = metadata.version("triton")
    return found


@torch.inference_mode()
def measure_limit(device: torch.device) -> Figures:
    """What this card reaches on a half-precision matrix product of random data."""
    if device.type != "cuda":
        return {"limit_tflops": PEAK_TFLOPS}
    a, b = (torch.randn(8192, 8192, device=device, dtype=torch.float16) for _ in range(2))
    # Several at a time, so that the launch does not count.
    took_ms = milliseconds(lambda: [a @ b for _ in range(10)]) / 10
    return {"limit_tflops": 2 * 8192**3 / took_ms / 1e9}


def arithmetic(figures: Figures) -> Figures:
    """How far the figures are from the chip's arithmetic: `share_of_limit` from what it was
    measured to reach in this run, the others from what an H200 reached."""
    best = max(figures["frames_per_s"].values())
    frame_tflop = FUSED_FRAME_TFLOP if figures["backend"] == "fused" else FRAME_TFLOP
    floor = 1000 * frame_tflop / PEAK_TFLOPS
    return {
        "share_of_limit": {
            batch: frames_s * frame_tflop / figures["limit_tflops"]
            for batch, frames_s in figures["frames_per_s"].items()
        },
        "frames_ratio": figures["reference_frame_ms"] * best / 1000,
        "clips_ratio": figures["reference_clip_ms"] / figures["clip_ms"]["1"],
        # As progress bars of the released code count: diffusion steps, and frames written.
        "diffusion_it_per_s": 1000 * STEPS / figures["clip_ms"]["1"],
        "writer_it_per_s": best,
        "floor_ms": {"frame": floor, "clip": 1000 * STEPS * CLIP_STEP_TFLOP / PEAK_TFLOPS},
        "floor_reached": floor * best / 1000,
    }


def run(arguments: argparse.Namespace) -> Figures:
    torch.backends.cudnn.benchmark = True
    tensors = standin_tensors()
    say("stand-in weights made")
    figures: Figures = {
        "commit": arguments.commit,
        "machine": machine(),
        "repeats": arguments.repeats,
        "stream_seconds": arguments.stream_seconds,
    }
    device = torch.device(arguments.device)
    half = torch.float16 if device.type == "cuda" else torch.float32
    if arguments.explore:
        figures |= explore(tensors, device)
    figures |= measure_limit(device)
    figures |= measure_released(tensors, device)
    say(f"released: {figures['reference_frame_ms']:.1f} ms a frame, "
        f"{figures['reference_clip_ms']:.1f} ms a clip")  # fmt: skip
    torch.cuda.empty_cache()

    def networks() -> dict[str, nn.Module]:
        return {name: weights.from_tensors(name, tensors[name]) for name in tensors}

    refused = "asked without" if arguments.plain else kernels_refused(device)
    options = CompileOptions(arguments.compiler, arguments.tune, fused=not refused)
    fast = Pipeline(compiled_runners(networks(), device, half, options), STEPS)
    figures["backend"] = fast.runners.name
    say(f"backend {fast.runners.name}" + (f": not fused, {refused}" if refused else ""))
    began = time.perf_counter()
    picture = source_picture(fast, 0)
    for batch in fast.runners.batches:
        fast.render(frame_jobs(picture, batch))
        say(f"frames of {batch} compiled")
    for batch in fast.runners.clip_batches:
        with torch.inference_mode():
            fast.runners.clip(*clip_inputs(batch, device))
        say(f"clips of {batch} compiled")
    figures["prepare_s"] = time.perf_counter() - began
    if arguments.prepare_only:
        return figures
    figures |= measure_frames(fast, picture)
    figures |= measure_sizes(fast)
    say(json.dumps({key: figures[key] for key in ("frames_per_s", "stage_ms_per_frame")}))
    figures |= measure_clips(fast.runners)
    figures |= measure_first_frame(fast, picture)
    say(json.dumps({key: figures[key] for key in ("frames_per_s", "clip_ms", "first_frame_ms")}))
    pictures = [source_picture(fast, seed) for seed in range(4)]
    with Memory(device) as memory:
        figures |= most_streams(fast, pictures, arguments.stream_seconds, say)
    figures["memory_mb"] = memory.peak_mb
    # At most that: more viewers than were served have been tried.
    figures["viewer_mb"] = memory.added_mb / max(1, figures["streams"])
    exact = Pipeline(eager_runners(networks(), device, torch.float32), STEPS)
    figures |= measure_quality(exact, fast)
    if options.fused:
        figures["eight_bits"] = measure_eight_bits(
            networks(), device, options, exact, arguments.stream_seconds
        )
        say(json.dumps(figures["eight_bits"]))
    return figures | arithmetic(figures)


def table(figures: Figures) -> str:
    targets = {
        "frames_per_s": "≥ 300, aim 500",
        "share_of_limit": "≥ 0.60 at 1, 0.72 at 4, 0.75 at 16",
        "frames_ratio": "≥ 8",
        "clip_ms": "≤ 10, aim 5",
        "clips_ratio": "≥ 25",
        "first_frame_ms": "≤ 120",
        "streams": "≥ 12, aim 20",
        "memory_mb": "≤ 8000",
        "viewer_mb": "≤ 60",
        "psnr_db": "≥ 40",
    }

    def shown(value: Any) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{key}: {shown(part)}" for key, part in value.items())
        return f"{value:.2f}" if isinstance(value, float) else str(value)

    return "\n".join(
        f"{key:22} {shown(value):70} {targets.get(key, '')}"
        for key, value in figures.items()
        if key not in ("machine", "explored_ms_per_frame")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench/results/gpu.json"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--compiler", default="inductor", help="torch.compile's, or none")
    parser.add_argument("--tune", action="store_true", help="try variants of kernels (minutes)")
    parser.add_argument("--plain", action="store_true", help="without kernels of our own")
    parser.add_argument("--commit", help="what is measured, for the result file")
    parser.add_argument(
        "--prepare-only", action="store_true", help="stop when all is compiled and recorded"
    )
    parser.add_argument("--explore", action="store_true", help="time single layers, too")
    parser.add_argument("--stream-seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    if arguments.compiler == "none":
        arguments.compiler = None
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("this bench needs a CUDA device; --device cpu tries it out, for minutes")
    Repeats.count = arguments.repeats
    figures = run(arguments)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    say("done\n" + table(figures))


if __name__ == "__main__":
    main()
