"""Make films out of a conversation: its clips, one behind the other, with captions."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, fields
from pathlib import Path

from ditto_avatar.credentials.statement import Statement
from ditto_avatar.errors import Busy, InvalidFilm, NotFound
from ditto_avatar.guard.inspector import Check, inspect
from ditto_avatar.guard.limits import Limits
from ditto_avatar.media.captions import Cue, srt, web_vtt
from ditto_avatar.pipeline.clip_signing import ClipSigner
from ditto_avatar.pipeline.clips import ClipFolder
from ditto_avatar.session.archive import Archive
from ditto_avatar.session.export import stored_turns
from ditto_avatar.session.store import Store
from ditto_avatar.types import FRAME_RATE_HZ

MARK = "AI-generated · AI 생성"
_AT_ONCE = 2
_JOIN = Check(
    "ditto_avatar.pipeline.joining:join_clips",
    InvalidFilm,
    Limits(cpu_s=120, wall_s=180, written_mb=4_096),
)
# Of a clip that was told of, and may be gone.
_Spoken = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Film:
    """A joined film: its file, the clips in it, and when each is spoken."""

    path: Path
    clips: Sequence[str]
    cues: Sequence[Cue]


class FilmExport:
    """Join the clips of conversations, at most two conversations at a time."""

    def __init__(self, store: Store, clips: ClipFolder, signer: ClipSigner) -> None:
        self._store = store
        self._clips = clips
        self._signer = signer
        self._running = 0

    async def export(self, session_id: str) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of a ZIP: ``film.mp4`` with ``film.vtt`` and ``film.srt``; several films
        where the presenter's size changed in between. Nothing is encoded again, a film is signed
        like a clip, and its captions say that AI made it. Closing the generator early is safe.

        Raises `Busy` when two conversations are being joined, `NotFound` when there is no clip
        (any more), `InvalidFilm` when they cannot be joined, `StorageFailed`.
        """
        if self._running >= _AT_ONCE:
            raise Busy("Other films are being made; please try again in a moment.")
        self._running += 1
        try:
            with self._clips.temporary() as place:
                films = await self._films(session_id, place)
                async with aclosing(_packed(films)) as chunks:
                    async for chunk in chunks:
                        yield chunk
        finally:
            self._running -= 1

    async def _films(self, session_id: str, place: Path) -> list[_Film]:
        spoken = await self._spoken(session_id)
        if not spoken:
            raise NotFound("Nothing that was said in this conversation is kept as a film.")
        answer = await inspect(
            _JOIN,
            self._clips.folder,
            names=[name for name, _ in spoken],
            target=str(place),
            comment=MARK,
        )
        films = _split(place, spoken, answer.value["films"])
        for film in films:
            statement = await asyncio.to_thread(self._statement, film.clips)
            if statement is not None:
                await self._signer.sign(film.path, statement)
        return films

    async def _spoken(self, session_id: str) -> list[_Spoken]:
        """The clips of a session that can be had, signed or not, with their texts."""
        spoken: list[_Spoken] = []
        async with aclosing(stored_turns(session_id, self._store)) as pages:
            async for page in pages:
                for clip in (clip for turn in page for clip in turn.clips):
                    try:
                        path = await self._signer.find("video", f"{clip.name}.mp4")
                    except NotFound:
                        continue
                    spoken.append((path.name, clip.text))
        return spoken

    def _statement(self, names: Sequence[str]) -> Statement | None:
        """What the clips of a film state, together; None where they state nothing."""
        stated = [said for name in names if (said := self._clips.statement(name)) is not None]
        if not stated:
            return None
        return Statement(
            **{
                field.name: ", ".join(dict.fromkeys(getattr(said, field.name) for said in stated))
                for field in fields(Statement)
            }
        )


def _split(place: Path, spoken: Sequence[_Spoken], counts: Sequence[Sequence[int]]) -> list[_Film]:
    """Tell which clips went into which film, and when their sentences are spoken there."""
    films, rest = [], iter(spoken)
    for number, frames_of_clips in enumerate(counts):
        names, cues, frames = [], [], 0
        for count in frames_of_clips:
            name, text = next(rest)
            names.append(name)
            start, frames = frames, frames + count
            cues.append(Cue(start / FRAME_RATE_HZ, frames / FRAME_RATE_HZ, text))
        films.append(_Film(place.with_name(f"{place.name}-{number}"), names, cues))
    return films


async def _packed(films: Sequence[_Film]) -> AsyncGenerator[bytes, None]:
    with Archive() as archive:
        for number, film in enumerate(films, start=1):
            name = "film" if len(films) == 1 else f"film-{number}"
            async with aclosing(archive.add_file(f"{name}.mp4", film.path)) as chunks:
                async for chunk in chunks:
                    yield chunk
            mark = Cue(0, film.cues[-1].end_s, MARK)
            for suffix, text in (("vtt", web_vtt(film.cues, mark)), ("srt", srt(film.cues))):
                yield await asyncio.to_thread(
                    archive.begin, f"{name}.{suffix}", zipfile.ZIP_DEFLATED
                )
                yield await asyncio.to_thread(archive.write, text.encode())
        yield await asyncio.to_thread(archive.close)
