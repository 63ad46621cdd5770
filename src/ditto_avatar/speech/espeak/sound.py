"""The sound of one request on its way from a child process to its reader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ditto_avatar.speech.phoneme_stream import PhonemeMark


@dataclass(frozen=True, slots=True)
class Frame:
    """100 ms of sound: int16 samples as bytes, and the phonemes that begin in it, their
    samples counted from the start of the request."""

    samples: bytes
    marks: tuple[PhonemeMark, ...]


@dataclass(frozen=True, slots=True)
class _Position:
    """How far a request has been spoken: samples, phonemes, and where the last one began."""

    samples: int = 0
    marks: int = 0
    last_mark: int = 0

    def after(self, frame: Frame) -> _Position:
        return _Position(
            self.samples + len(frame.samples) // 2,
            self.marks + len(frame.marks),
            max([self.last_mark, *(mark.sample for mark in frame.marks)]),
        )


class Sound:
    """A queue of frames with one writer, the pool, and one reader.

    It holds a whole request, so that a child never waits for a reader. A second attempt gives
    the request's sound from its start again: what the first one gave is left out. espeak-ng says
    the same text in the same time but for some 5 ms, so the sound goes on where it broke off.
    """

    def __init__(self) -> None:
        self._ready: asyncio.Queue[Frame | Exception | None] = asyncio.Queue()
        self._tell_child: Callable[[], object] | None = None
        self._stopped = False
        # Of this attempt, and of all that was handed on.
        self._at = _Position()
        self._given = _Position()

    @property
    def stopped(self) -> bool:
        """Whether the reader has left."""
        return self._stopped

    @property
    def samples(self) -> int:
        """How many samples were given."""
        return self._given.samples

    def __aiter__(self) -> Sound:
        return self

    async def __anext__(self) -> Frame:
        """Wait for the next frame. Raises what `fail` was given. Cancelling is safe: no frame is
        lost."""
        item = await self._ready.get()
        if item is None:
            raise StopAsyncIteration
        if isinstance(item, Exception):
            raise item
        return item

    def stop(self) -> None:
        """Leave: no more frames are kept, and the child that speaks is told to stop."""
        self._stopped = True
        if self._tell_child is not None:
            self._tell_child()

    def begin(self, tell_child: Callable[[], object]) -> None:
        """Start an attempt; `tell_child` is called when the reader leaves during it."""
        self._tell_child = tell_child
        self._at = _Position()

    def add(self, frame: Frame) -> None:
        """Hand on what of `frame` was not given before."""
        known_samples = max(0, self._given.samples - self._at.samples)
        known_marks = max(0, self._given.marks - self._at.marks)
        self._at = self._at.after(frame)
        # A simpler text may have its phonemes elsewhere: never before those that were given.
        new = Frame(
            frame.samples[2 * known_samples :],
            tuple(m for m in frame.marks[known_marks:] if m.sample >= self._given.last_mark),
        )
        if not new.samples and not new.marks:
            return
        self._given = self._given.after(new)
        if not self._stopped:
            self._ready.put_nowait(new)

    def leave_child(self) -> None:
        """End an attempt: nobody is told any more when the reader leaves."""
        self._tell_child = None

    def fail(self, error: Exception) -> None:
        """Raise `error` in the reader, behind the frames that were given."""
        self._ready.put_nowait(error)

    def end(self) -> None:
        """End the reader's iteration."""
        self._ready.put_nowait(None)
