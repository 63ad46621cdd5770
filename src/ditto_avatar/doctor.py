"""Examine an installation: what is there, what would be used, what does not work."""

from __future__ import annotations

import asyncio
import importlib
import platform
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

import av

from ditto_avatar import assembly
from ditto_avatar.credentials.opening import open_credentials
from ditto_avatar.errors import DittoAvatarError
from ditto_avatar.providers.checks import check_all
from ditto_avatar.session.database import sqlite_url
from ditto_avatar.session.store import Store
from ditto_avatar.settings import Settings

UNTRIED = (
    "Of TensorRT the project's own tests built engines (for RTX, without a GPU); none was ever run."
)


class State(StrEnum):
    """The states of a part: `BROKEN` is needed or configured and does not work, `ABSENT` is
    optional and not there."""

    GOOD = "good"
    ABSENT = "absent"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One part and a sentence about it, without secrets."""

    part: str
    state: State
    text: str


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything that `settings` ask for, services with one cheap call each."""
    return [
        Finding("python", State.GOOD, f"{platform.python_version()} on {platform.platform()}"),
        _video(),
        await _avatars(settings),
        await asyncio.to_thread(_face, settings),
        *await asyncio.to_thread(_acceleration),
        *await asyncio.to_thread(_backends, settings),
        await asyncio.to_thread(_data_folder, settings),
        await asyncio.to_thread(_credentials, settings),
        await _database(settings),
        *await _engines(settings),
    ]


def _video() -> Finding:
    try:
        av.Codec("libx264", "w")
        av.Codec("aac", "w")
    except ValueError as error:
        return Finding("video", State.BROKEN, f"PyAV {av.__version__} lacks an encoder: {error}.")
    return Finding("video", State.GOOD, f"PyAV {av.__version__} encodes H.264 (x264) and AAC")


async def _avatars(settings: Settings) -> Finding:
    library = await assembly.open_avatars(settings)
    names = ", ".join(avatar.name for avatar in library)
    try:
        library.find(settings.avatar)
    except DittoAvatarError as error:
        return Finding("presenters", State.BROKEN, str(error))
    if library.refused:
        refused = "; ".join(f"{name} is left out: {why}" for name, why in library.refused.items())
        return Finding("presenters", State.BROKEN, f"{names}; {refused}")
    return Finding("presenters", State.GOOD, f"{names}; {settings.avatar} begins")


def _face(settings: Settings) -> Finding:
    name = assembly.face_name(settings)
    if settings.engine != "auto":
        why = "DITTO_ENGINE says so"
    elif settings.checkpoints is not None:
        why = "DITTO_CHECKPOINTS is set"
    else:
        why = "there are no checkpoints (DITTO_CHECKPOINTS)"
    if name == "ditto":
        if settings.checkpoints is None or not settings.checkpoints.is_dir():
            text = f"ditto, because {why}, but DITTO_CHECKPOINTS names no folder"
            return Finding("face", State.BROKEN, text)
        if _installed("torch") is None:
            text = f"ditto, because {why}, but PyTorch is missing: pip install -e '.[ditto]'"
            return Finding("face", State.BROKEN, text)
    return Finding("face", State.GOOD, f"{name}, because {why}")


def _acceleration() -> list[Finding]:
    """What Ditto can use. Asked for by name: most installations have none of it."""
    found = [
        _package("onnxruntime", "onnxruntime-gpu"),
        _package("tensorrt", "tensorrt-rtx", "tensorrt-rtx-cu12-bindings"),
    ]
    torch_version = _installed("torch")
    if torch_version is None:
        return [Finding("torch", State.ABSENT, "not installed; only Ditto needs it"), *found]
    try:
        torch: Any = importlib.import_module("torch")
        if torch.cuda.is_available():
            devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
            text = f"{torch_version}, CUDA {torch.version.cuda}, {', '.join(devices)}"
        else:
            text = f"{torch_version}, no CUDA device"
    except (ImportError, OSError, RuntimeError) as error:
        return [Finding("torch", State.BROKEN, f"{torch_version} cannot be used: {error}"), *found]
    return [Finding("torch", State.GOOD, text), *found]


def _backends(settings: Settings) -> list[Finding]:
    """How Ditto's networks would run, and why not otherwise; nothing where Ditto cannot run."""
    if _installed("torch") is None:
        return []
    part = "ditto backend"
    try:
        from ditto_avatar.face.ditto.models import choose_device
        from ditto_avatar.face.ditto.runtime.candidates import COMPILED, candidates

        device = choose_device(settings.device)
        found = candidates(device, settings.checkpoints)
    except (DittoAvatarError, ImportError, OSError, RuntimeError) as error:
        state = State.BROKEN if assembly.face_name(settings) == "ditto" else State.ABSENT
        return [Finding(part, state, str(error))]
    asked = [entry for entry in found if settings.backend in ("auto", entry.name)]
    used = next((entry for entry in asked if entry.refused is None), None)
    reasons = "".join(f"; not {entry.name}: {entry.refused}" for entry in found if entry.refused)
    if used is None:
        text = f"DITTO_BACKEND={settings.backend} cannot be used on {device}{reasons}"
        state = State.BROKEN if assembly.face_name(settings) == "ditto" else State.ABSENT
    else:
        soon = used.name in COMPILED and device.type == "cuda"
        until = "; graphs draws until it is compiled" if soon else ""
        text, state = f"{used.name} on {device}{until}{reasons}", State.GOOD
    return [Finding(part, state, f"{text}. {UNTRIED}")]


def _package(*names: str) -> Finding:
    """Whether one of the packages that bring the same module is there."""
    for name in names:
        if (installed := _installed(name)) is not None:
            return Finding(names[0], State.GOOD, f"{name} {installed}")
    return Finding(names[0], State.ABSENT, "not installed")


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _data_folder(settings: Settings) -> Finding:
    folder = settings.data_dir.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"doctor")
    except OSError as error:
        text = f"{folder} cannot be written: {error.strerror}"
        return Finding("data folder", State.BROKEN, text)
    return Finding("data folder", State.GOOD, f"{folder} can be written")


def _credentials(settings: Settings) -> Finding:
    try:
        signing = open_credentials(settings)
    except DittoAvatarError as error:
        return Finding("credentials", State.BROKEN, str(error))
    if signing is None:
        text = "films are not signed as made by AI (the extra `credentials`, DITTO_CREDENTIALS)"
        return Finding("credentials", State.ABSENT, text)
    own = settings.credentials_certificate
    signed_with = "a self-signed certificate, for trying" if own is None else str(own)
    return Finding("credentials", State.GOOD, f"films are signed with {signed_with}")


async def _database(settings: Settings) -> Finding:
    try:
        store = Store(settings.database_url or sqlite_url(settings.data_dir))
        try:
            return Finding("database", State.GOOD, await store.check())
        finally:
            await store.close()
    except DittoAvatarError as error:
        return Finding("database", State.BROKEN, str(error))


class _Closable(Protocol):
    async def close(self) -> None: ...


async def _engines(settings: Settings) -> list[Finding]:
    """Dialogue, voices and transcription, all asked at once."""
    findings: list[Finding] = []
    asked: list[tuple[str, object]] = []
    async with AsyncExitStack() as opened:

        async def opening(part: str, engines: Callable[[], list[_Closable]]) -> None:
            try:
                made = await asyncio.to_thread(engines)
            except DittoAvatarError as error:
                findings.append(Finding(part, State.BROKEN, str(error)))
                return
            for engine in made:
                opened.push_async_callback(engine.close)
                asked.append((part, engine))

        await opening("dialogue", lambda: [*assembly.open_dialogue(settings).engines])
        await opening("speech", lambda: [*assembly.open_speech(settings).engines])
        transcriber = assembly.open_transcriber(settings)
        if transcriber is None:
            text = "left to the browser: no service has a key, and no recogniser was downloaded"
            findings.append(Finding("transcription", State.ABSENT, text))
        else:
            await opening("transcription", lambda: [transcriber])
        for checked in await check_all(asked):
            state = State.GOOD if checked.works else State.BROKEN
            findings.append(Finding(f"{checked.part}: {checked.engine}", state, checked.text))
    return findings
