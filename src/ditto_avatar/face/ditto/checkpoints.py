"""Getting the released checkpoint, and making sure that it is the released one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from ditto_avatar.errors import DittoAvatarError
from ditto_avatar.face.ditto.audio import OnnxEncoder
from ditto_avatar.face.ditto.checkpoint_files import FILES, REPOSITORY, CheckpointFile
from ditto_avatar.face.ditto.config import read_config
from ditto_avatar.face.ditto.onnx_session import open_session
from ditto_avatar.face.ditto.weights import manifest, read_tensors
from ditto_avatar.models.hub import RemoteFile, Tell, download, list_files


@dataclass(frozen=True, slots=True)
class FileReport:
    """What was found of one file: `problem` is None when it is as released."""

    path: str
    license: str
    bytes: int
    detail: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class CheckpointReport:
    """All files of a checkpoint folder."""

    folder: Path
    files: tuple[FileReport, ...]

    @property
    def ok(self) -> bool:
        return all(file.problem is None for file in self.files)


def verify_checkpoints(folder: Path) -> CheckpointReport:
    """Looks into every file: tensors against the manifest, models and configuration opened.
    Blocks for as long as reading takes."""
    return CheckpointReport(
        folder, tuple(_verified(folder, name, entry) for name, entry in FILES.items())
    )


def _verified(folder: Path, name: str, entry: CheckpointFile) -> FileReport:
    path = folder / entry.path
    size = path.stat().st_size if path.is_file() else 0
    try:
        detail = _look_into(path, name, entry)
    except DittoAvatarError as error:
        return FileReport(entry.path, entry.license, size, "", str(error))
    return FileReport(entry.path, entry.license, size, detail)


def _look_into(path: Path, name: str, entry: CheckpointFile) -> str:
    if entry.network is not None:
        read_tensors(entry.network, path)
        return f"{len(manifest()[entry.network].shapes)} tensors as in the manifest"
    if name == "config":
        config = read_config(path)
        return f"overlap {config.overlap}"
    if name == "audio_encoder":
        OnnxEncoder(path)
        return "reads sound"
    inputs = open_session(path).get_inputs()
    return f"reads {inputs[0].name} {inputs[0].shape}"


async def download_checkpoints(
    target: Path,
    *,
    endpoint: str | None = None,
    repository: str = REPOSITORY,
    revision: str = "main",
    tell: Tell | None = None,
) -> list[RemoteFile]:
    """Fetch what Ditto needs of the release into `target`; the files that were fetched. What is
    there already is kept, what was begun goes on. `endpoint` is a mirror's address (None: the
    hub's), `tell` hears how far it is. Raises and is cancelled like `hub.download`."""
    paths = [entry.path for entry in FILES.values()]
    files = await asyncio.to_thread(
        list_files, repository, paths, endpoint=endpoint, revision=revision
    )
    return await download(files, target, tell=tell)
