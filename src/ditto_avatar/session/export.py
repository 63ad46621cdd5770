"""Pack everything that is kept of a conversation into a ZIP, while it is sent."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from ditto_avatar.errors import NotFound, SessionEnded
from ditto_avatar.pipeline.clip_signing import ClipSigner
from ditto_avatar.pipeline.clips import ClipFolder
from ditto_avatar.session.archive import Archive
from ditto_avatar.session.schema import ClipRow, SessionRow, TurnRow
from ditto_avatar.session.store import Store

_TURNS_AT_ONCE = 50
_KINDS = {"video": ".mp4", "audio": ".wav"}


async def export(
    session_id: str, store: Store, clips: ClipFolder, signer: ClipSigner
) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of a ZIP: ``conversation.json`` with all texts and times, and under
    ``clips/`` the clips that still exist, by the number of their turn and sentence.

    Memory stays small however long the conversation is: a page of turns or a chunk of a clip at
    a time, made when the reader asks for it. Closing the generator early is safe. Raises
    `SessionEnded` and `StorageFailed`.
    """
    with Archive() as archive:
        async with aclosing(stored_turns(session_id, store)) as pages:
            first = await _first_lines(session_id, store)
            yield await asyncio.to_thread(archive.begin, "conversation.json", zipfile.ZIP_DEFLATED)
            yield await asyncio.to_thread(archive.write, first)
            between = "\n"
            async for page in pages:
                text = await asyncio.to_thread(_turns_json, page, clips, between)
                yield await asyncio.to_thread(archive.write, text.encode())
                between = ",\n"
            yield await asyncio.to_thread(archive.write, b"\n]}\n")
        async with aclosing(stored_turns(session_id, store)) as pages:
            async for page in pages:
                for file in _files(page):
                    async with aclosing(_media(archive, file, signer)) as chunks:
                        async for chunk in chunks:
                            yield chunk
        yield await asyncio.to_thread(archive.close)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a clip: its kind, its name among the clips and its name in the ZIP."""

    kind: str
    clip: str
    path: str


def _files_of(turn: TurnRow, clip: ClipRow) -> list[_File]:
    place = f"clips/{turn.generation:04d}-{clip.index:02d}"
    return [_File(kind, f"{clip.name}{end}", place + end) for kind, end in _KINDS.items()]


def _files(page: list[TurnRow]) -> list[_File]:
    return [file for turn in page for clip in turn.clips for file in _files_of(turn, clip)]


async def stored_turns(session_id: str, store: Store) -> AsyncGenerator[list[TurnRow], None]:
    """Yield the turns of a session with their clips, oldest first, some at a time."""
    after = 0
    while True:
        query = (
            select(TurnRow)
            .where(TurnRow.session_id == session_id, TurnRow.generation > after)
            .order_by(TurnRow.generation)
            .limit(_TURNS_AT_ONCE)
            .options(selectinload(TurnRow.clips))
        )
        async with store.reading() as db:
            page = list((await db.execute(query)).scalars())
        if not page:
            return
        yield page
        after = page[-1].generation


async def _first_lines(session_id: str, store: Store) -> bytes:
    """The JSON up to the list of turns."""
    async with store.reading() as db:
        row = await db.get(SessionRow, session_id)
    if row is None:
        raise SessionEnded("There is no such session; it may have ended.")
    about = {
        "session": row.id,
        "avatar": row.avatar,
        "language": row.language,
        "created_at": row.created_at.isoformat(),
        "used_at": row.used_at.isoformat(),
    }
    return f'{json.dumps(about, ensure_ascii=False)[:-1]}, "turns": ['.encode()


def _turns_json(page: list[TurnRow], clips: ClipFolder, between: str) -> str:
    lines = (json.dumps(_turn(turn, clips), ensure_ascii=False) for turn in page)
    return between + ",\n".join(lines)


def _turn(turn: TurnRow, clips: ClipFolder) -> dict[str, Any]:
    return {
        "turn": turn.id,
        "id": turn.client_id,
        "generation": turn.generation,
        "kind": turn.kind,
        "state": turn.state,
        "created_at": turn.created_at.isoformat(),
        "text": turn.text,
        "answer": turn.answer,
        "heard": turn.heard,
        "timings_ms": turn.timings,
        "clips": [_clip(turn, clip, clips) for clip in turn.clips],
    }


def _clip(turn: TurnRow, clip: ClipRow, clips: ClipFolder) -> dict[str, Any]:
    """A clip with the names of its files in the ZIP, None for those that were removed by age."""
    files = {
        file.kind: file.path if clips.has(file.kind, file.clip) else None
        for file in _files_of(turn, clip)
    }
    return {
        "index": clip.index,
        "text": clip.text,
        "emotion": clip.emotion,
        "duration_s": clip.duration,
        **files,
    }


async def _media(archive: Archive, file: _File, signer: ClipSigner) -> AsyncGenerator[bytes, None]:
    """The bytes of the ZIP that a clip's file adds; none when it is gone."""
    try:
        path = await signer.find(file.kind, file.clip)
    except NotFound:
        return  # removed by age
    async with aclosing(archive.add_file(file.path, path)) as chunks:
        async for chunk in chunks:
            yield chunk
