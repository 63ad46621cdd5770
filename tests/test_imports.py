"""Imports run one way, and what is heavy or optional is imported where it is chosen only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ditto_avatar

ROOT = Path(ditto_avatar.__file__).parent

# A package may import those that stand below it, and itself.
ORDER = [
    "cli",
    "server",
    "session",
    "transport",
    "pipeline",
    "dialogue",
    "speech",
    "cluster",
    "face",
    "credentials",
    "models",
    "guard",
    "media",
]
CLI = {"cli", "cli_cluster", "cli_ditto", "cli_films", "cli_keys", "cli_progress", "cli_voices"}
ANYWHERE = {
    "types",
    "spectrum",
    "errors",
    "clock",
    "cores",
    "event_loop",
    "files",
    "memory",
    "metrics",
}
ANYWHERE |= {"settings", "settings_cluster", "settings_rtc", "backend_metrics"}
ANYWHERE |= {"providers"}
# Puts engines together for the server and the command line; only they may use it.
ASSEMBLY = {"integrations", "assembly", "doctor", "render", "subtitled", "worker", "worker_cluster"}

OPTIONAL = {
    "fastapi": ["server/"],
    "starlette": ["server/"],
    "uvicorn": ["server/serving.py", "server/connections.py"],
    "h11": ["server/connections.py", "server/forwarding.py", "cluster/status.py"],
    "obstore": ["pipeline/bucket_clips.py"],
    "torch": ["face/ditto/"],
    "onnxruntime": ["face/ditto/", "speech/neural/child.py"],
    "faster_whisper": ["speech/hearing/child.py"],
    "tensorrt": ["face/ditto/runtime/tensorrt/"],
    "triton": ["face/ditto/runtime/"],
    "aiortc": ["transport/rtc/aiortc_"],
    "livekit": ["integrations/livekit.py"],
    "pipecat": ["integrations/pipecat.py"],
    "aioice": ["transport/rtc/aiortc_peer.py"],
    "jwt": ["server/access.py"],
    "sqlalchemy": ["session/"],
    "alembic": ["session/"],
    "openai": ["providers/openai", "dialogue/openai", "speech/openai", "speech/transcribe"],
    "c2pa": ["credentials/child.py"],
    "cryptography": ["credentials/certificate.py"],
    "google": ["speech/google", "cluster/worker_pb2.py"],
    "ray": ["cluster/ray_workers.py"],
    "grpc": ["cluster/", "speech/google"],
}


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py"))


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    part = part_of(path)
    for name in imported(path):
        if not name.startswith("ditto_avatar."):
            continue
        target = name.split(".")[1]
        if target == part or target in ANYWHERE:
            continue
        if part in ASSEMBLY:
            allowed = set(ORDER[2:]) | ASSEMBLY
        elif part in ("server", *CLI):
            own = "cli" if part in CLI else part
            allowed = (
                set(ORDER[ORDER.index(own) + 1 :]) | ASSEMBLY | (CLI if own == "cli" else set())
            )
        elif part in ORDER:
            allowed = set(ORDER[ORDER.index(part) + 1 :])
        else:
            allowed = set()
        assert target in allowed, f"{part} must not import {target}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_optional_libraries_stay_in_their_corner(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    for name in imported(path):
        places = OPTIONAL.get(name.split(".")[0])
        if places is not None:
            assert relative.startswith(tuple(places)), f"{name} in {relative}"


def test_nothing_but_settings_reads_the_environment() -> None:
    readers = [
        path.relative_to(ROOT).as_posix()
        for path in modules()
        if "os.environ" in (text := path.read_text(encoding="utf-8")) or "getenv(" in text
    ]
    # Torch and Triton are told by it alone where to keep what they compile, NumPy how many threads
    # to take.
    assert sorted(readers) == ["__init__.py", "face/ditto/runtime/kernel_cache.py"]
