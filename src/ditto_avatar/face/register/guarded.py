"""Register a face that a stranger may have sent: a child process opens the file and makes the pack,
and what it made is checked like any stranger's pack."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path

from ditto_avatar.errors import InvalidImage
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.library import open_pack
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.register.findings import Finding, Reason
from ditto_avatar.face.register.writing import Terms, check_request
from ditto_avatar.files import run_to_end
from ditto_avatar.guard.inspector import Check, Inspector, inspect
from ditto_avatar.guard.limits import Limits

PICTURE_CHECK = Check(
    "ditto_avatar.face.register.child:check",
    InvalidImage,
    Limits(memory_mb=3_072, cpu_s=120, wall_s=120),
)
MAKING = Check(
    "ditto_avatar.face.register.child:make",
    InvalidImage,
    Limits(memory_mb=6_144, cpu_s=300, wall_s=300, written_mb=128),
)


class Step(StrEnum):
    """How far a registration is."""

    WAITING = "waiting"
    CHECKING = "checking"
    MAKING = "making"
    TESTING = "testing"
    FAILED = "failed"


OnStep = Callable[[Step], None]


async def check_picture(
    path: Path, *, preview: bool = False, inspector: Inspector | None = None
) -> list[Finding]:
    """Return what is wrong with, or to be known about, the photo or film at `path`. Raises
    `InvalidImage` for a file that is neither. Cancelling is safe."""
    if inspector is None:
        answer = await inspect(PICTURE_CHECK, path, preview=preview)
    else:
        answer = await inspector.inspect(path, preview=preview)
    return [Finding(Reason(reason)) for reason in answer.value["reasons"]]


async def register_face(
    path: Path,
    out: Path,
    terms: Terms,
    *,
    source: str | None = None,
    cutout: bool = False,
    on_step: OnStep | None = None,
) -> Avatar:
    """Make the pack `out` for the puppet from the photo or film at `path`, called `source` by its
    owner; return it, checked. With a `cutout` it can be shown before another background.

    Raises `InvalidImage` with the reasons and remedies, `InvalidAvatar` for terms that are empty
    and for a name that is taken. Then, and when cancelled, nothing is left.
    """
    tell = on_step or (lambda stage: None)
    # The child has a working folder of its own.
    out = await asyncio.to_thread(out.absolute)
    await asyncio.to_thread(check_request, out, terms)
    place = out.parent / f".{out.name}.{secrets.token_hex(8)}"
    folder = place / out.name
    try:
        await run_to_end(partial(folder.mkdir, parents=True))
        tell(Step.MAKING)
        await inspect(
            MAKING,
            path,
            into=str(folder),
            source=source or path.name,
            terms=asdict(terms),
            cutout=cutout,
        )
        tell(Step.TESTING)
        await open_pack(folder)
        # No wait: whether it was moved is known.
        os.replace(folder, out)
    finally:
        await run_to_end(partial(shutil.rmtree, place, ignore_errors=True))
    try:
        # Checked a moment ago, and in nobody's hands since.
        return await run_to_end(partial(load_avatar, out))
    except BaseException:
        await run_to_end(partial(shutil.rmtree, out, ignore_errors=True))
        raise
