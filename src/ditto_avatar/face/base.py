"""What a face engine promises.

    stream = await engine.open(avatar, start_frame=57)
    await stream.push(audio, phonemes, Emotion.HAPPY)   # as often as sound arrives
    await stream.flush()                                # a sentence ends: draw all of it
    await stream.finish()                               # nothing more will come
    async for frame in stream: ...                      # beside the pushing task

An engine is shared by all viewers and read-only once built; whatever belongs to one viewer
lives in the stream. Frame ``i`` shows samples ``640 i`` to ``640 (i + 1)`` of everything
pushed so far, so audio and video stay together by counting.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.types import Emotion, FloatArray, Phoneme, VideoFrame

_NO_PIXELS = np.zeros((0, 0), np.uint8)
_NO_PIXELS.flags.writeable = False


@dataclass(frozen=True, slots=True)
class EncodedFrame(VideoFrame):
    """A picture that was encoded where it was drawn: `yuv` is empty. `fragments` are those that it
    completed, as `media.encode.FragmentEncoder` makes them; the `last` picture of a sentence brings
    all that remain."""

    fragments: tuple[bytes, ...]
    last: bool

    @classmethod
    def of(
        cls, index: int, idle_frame: int, fragments: tuple[bytes, ...], *, last: bool
    ) -> EncodedFrame:
        """Make one without pixels."""
        return cls(index, idle_frame, _NO_PIXELS, fragments, last)


class FaceStream(Protocol):
    """One viewer's face from the start of a turn to its end."""

    async def push(
        self,
        audio: FloatArray,
        phonemes: Sequence[Phoneme] = (),
        emotion: Emotion = Emotion.NEUTRAL,
        intensity: float = 1.0,
    ) -> None:
        """Add float32 mono samples (n,) at 16 kHz; phoneme times count from this push's first
        sample. Waits while the reader is too far behind (bounded buffer). Raises `InvalidAudio`
        for anything but one channel of finite floats."""

    async def flush(self) -> None:
        """A sentence ended: every frame owed for the sound pushed so far is drawn without waiting
        for more, a last partial frame filled with silence. The motion state goes on, so the
        next sentence continues from this pose."""

    async def finish(self) -> None:
        """No more sound will come; the iteration ends after the last frame."""

    def idle_frame(self, index: int) -> int:
        """The idle frame whose head pose picture `index` has or will have, as its `VideoFrame`
        says. Known before the picture is drawn: what is prepared meanwhile continues that pose."""

    async def cancel(self) -> None:
        """Stop at once and free everything; the iteration ends. Safe to call twice."""

    def __aiter__(self) -> AsyncIterator[VideoFrame]: ...


class FaceEngine(Protocol):
    """Draws avatars from speech."""

    name: str

    @property
    def fingerprint(self) -> str:
        """Changes with every option that changes the pictures: what was drawn before is shown
        again only under the same fingerprint. The package's version is not part of it."""

    @property
    def max_streams(self) -> int | None:
        """The most streams that this engine draws in time at once; None where only the machine
        decides."""

    @property
    def strained(self) -> bool:
        """Whether it draws with less than full quality now, to be in time: such pictures are not
        worth keeping."""

    async def prepare(self, avatar: Avatar) -> None:
        """Compute what the engine keeps for `avatar`, so that no viewer waits for it. It takes
        no place, and holds up no drawing. Raises `InvalidAvatar` when the pack lacks what this
        engine needs. Cancelling is safe: the work is finished and kept all the same."""

    async def open(self, avatar: Avatar, start_frame: int = 0) -> FaceStream:
        """Begin a stream whose first picture continues idle frame `start_frame`.
        Where `max_streams` are open it waits a while for one to end. Raises `InvalidAvatar` when
        the pack lacks what this engine needs, `Busy` when none ended."""

    async def close(self) -> None:
        """Free what the engine holds; open streams are cancelled."""


@dataclass(frozen=True, slots=True)
class Backends:
    """Which backend `draws` the streams that begin now, which one it `prepares` to take over, and
    how many `failed` to be prepared."""

    draws: str
    prepares: str | None = None
    failed: int = 0


@runtime_checkable
class HasBackends(Protocol):
    """A face engine that may draw in several ways."""

    @property
    def backends(self) -> Backends: ...


def backends_of(face: FaceEngine) -> Backends | None:
    """Return which backends a face engine has; None where it knows one way to draw."""
    return face.backends if isinstance(face, HasBackends) else None
