"""Getting the released checkpoint, and making sure that it is the released one."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ditto_avatar.errors import (
    DittoAvatarError,
    InvalidCheckpoint,
    ProviderFailed,
    StorageFull,
    Unavailable,
)
from ditto_avatar.face.ditto.audio import OnnxEncoder
from ditto_avatar.face.ditto.checkpoint_files import FILES, REPOSITORY, CheckpointFile
from ditto_avatar.face.ditto.config import read_config
from ditto_avatar.face.ditto.onnx_session import open_session
from ditto_avatar.face.ditto.weights import manifest, read_tensors

log = logging.getLogger(__name__)

Tell = Callable[[str], None]
ROUNDS = 2  # a file that came damaged is fetched once more


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


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on the hub: its size in bytes and what it should hash to (kind and hex digits)."""

    entry: CheckpointFile
    size: int
    digest: tuple[str, str]


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


def download_checkpoints(
    target: Path,
    *,
    endpoint: str | None = None,
    repository: str = REPOSITORY,
    revision: str = "main",
    tell: Tell | None = None,
) -> Path:
    """Fetches what Ditto needs of the release into `target` and checks sizes and hashes; what is
    there already is kept, what was begun is continued. Blocks. `endpoint` is a mirror's address
    (None: the hub's), `tell` hears what is done; the hub's library shows the progress.

    Raises `ProviderFailed` when the hub cannot be reached or lacks a file, `StorageFull` when it
    does not fit, `InvalidCheckpoint` when a file arrives damaged twice, `Unavailable` without the
    library."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise Unavailable(
            "Downloading needs huggingface_hub; install it with: pip install -e '.[ditto]'."
        ) from error
    tell = tell or (lambda text: None)
    files = _listing(huggingface_hub, endpoint, repository, revision)
    wanted = [file for file in files if not _complete(target, file)]
    _check_room(target, sum(file.size for file in wanted))
    kept = len(files) - len(wanted)
    if kept:
        tell(f"{kept} of {len(files)} files are there already.")
    for file in wanted:
        tell(f"{file.entry.path} ({file.size / 1e6:.1f} MB, {file.entry.license})")
        _fetch(huggingface_hub, target, file, endpoint, repository, revision)
    return target


def _listing(hub: Any, endpoint: str | None, repository: str, revision: str) -> list[RemoteFile]:
    where = endpoint or "the model hub"
    try:
        info = hub.HfApi(endpoint=endpoint).model_info(
            repository, revision=revision, files_metadata=True
        )
    except Exception as error:  # the library raises classes of three HTTP clients
        raise ProviderFailed(
            f"{where} does not answer for {repository}: {_first_line(error)} "
            "Check the connection, or name a mirror."
        ) from error
    found = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    missing = [entry.path for entry in FILES.values() if entry.path not in found]
    if missing:
        raise ProviderFailed(f"{repository} on {where} has no {missing[0]}.")
    return [_remote(entry, found[entry.path]) for entry in FILES.values()]


def _remote(entry: CheckpointFile, sibling: Any) -> RemoteFile:
    if sibling.lfs is not None:
        return RemoteFile(entry, int(sibling.lfs.size), ("sha256", sibling.lfs.sha256))
    return RemoteFile(entry, int(sibling.size or 0), ("git", sibling.blob_id))


def _complete(target: Path, file: RemoteFile) -> bool:
    path = target / file.entry.path
    return (
        path.is_file() and path.stat().st_size == file.size and _digest(path, file) == file.digest
    )


def _digest(path: Path, file: RemoteFile) -> tuple[str, str]:
    """The file's hash: SHA-256 of large files, git's blob hash of small ones."""
    kind = file.digest[0]
    digest = hashlib.sha256() if kind == "sha256" else hashlib.sha1(usedforsecurity=False)
    if kind == "git":
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as source:
        while block := source.read(1 << 20):
            digest.update(block)
    return kind, digest.hexdigest()


def _check_room(target: Path, needed: int) -> None:
    place = target
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise StorageFull(
            f"The checkpoints need {needed / 1e9:.1f} GB more and {place} has {free / 1e9:.1f} GB "
            "free; make room or choose another folder."
        )


def _fetch(
    hub: Any, target: Path, file: RemoteFile, endpoint: str | None, repository: str, revision: str
) -> None:
    for _ in range(ROUNDS):
        try:
            hub.hf_hub_download(
                repository,
                file.entry.path,
                revision=revision,
                local_dir=target,
                endpoint=endpoint,
            )
        except Exception as error:  # the library raises classes of three HTTP clients
            raise ProviderFailed(
                f"{file.entry.path} did not arrive: {_first_line(error)} Run the command again; "
                "what has arrived is kept."
            ) from error
        if _complete(target, file):
            return
        log.warning("%s arrived damaged and is fetched again.", file.entry.path)
        (target / file.entry.path).unlink(missing_ok=True)
    raise InvalidCheckpoint(
        f"{file.entry.path} arrived damaged {ROUNDS} times; try another mirror."
    )


def _first_line(error: Exception) -> str:
    """The first sentence of an error for people; libraries add pages."""
    text = str(error).strip().splitlines()
    line = text[0] if text else type(error).__name__
    return line if line.endswith(".") else f"{line}."
