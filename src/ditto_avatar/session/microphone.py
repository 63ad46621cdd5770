"""Turn one viewer's microphone into questions and interruptions."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing

import numpy as np

from ditto_avatar.errors import (
    BudgetUsedUp,
    Busy,
    DittoAvatarError,
    InvalidInput,
    RateLimited,
    TooLarge,
    Unavailable,
)
from ditto_avatar.pipeline.notices import transcription_used_up_text
from ditto_avatar.session.conversation import MESSAGE
from ditto_avatar.session.session import Session
from ditto_avatar.session.sound_limits import SoundLimits
from ditto_avatar.speech.listening import (
    HeardEvent,
    Interrupted,
    Listener,
    ListenMode,
    NothingHeard,
    NotUnderstood,
    Understood,
)
from ditto_avatar.transport import events
from ditto_avatar.types import SAMPLE_RATE_HZ, FloatArray, Int16Array, Language

log = logging.getLogger(__name__)

MAX_PIECE_BYTES = 2 * SAMPLE_RATE_HZ * 2
# Sound that waits to be listened to; beyond it the oldest is lost.
_MAX_WAITING_SAMPLES = 10 * SAMPLE_RATE_HZ
# Recordings that are still being understood after their microphone was switched off.
_MAX_UNFINISHED = 4

_NOTHING_HEARD = {
    Language.ENGLISH: "I heard nothing. Is the right microphone on?",
    Language.KOREAN: "아무 소리도 들리지 않았어요. 마이크를 확인해 주세요.",
}
_BEHIND = {
    Language.ENGLISH: "The server cannot keep up with your microphone: some sound was lost.",
    Language.KOREAN: "서버가 마이크 소리를 따라가지 못해 일부를 듣지 못했어요.",
}
_TOO_MUCH = {
    Language.ENGLISH: "More sound came than a microphone gives: the rest is left out.",
    Language.KOREAN: "마이크로 들을 수 있는 것보다 많은 소리가 와서 나머지는 듣지 않아요.",
}


class Microphone:
    """Listen between `start` and `stop`, as often as a viewer switches it on.

    `tell` takes events for this viewer only, `fail` errors. Without a `listener` the browser has
    to understand by itself. Belongs to the event loop.
    """

    def __init__(
        self,
        listener: Listener | None,
        limits: SoundLimits,
        session: Session,
        *,
        tell: Callable[[events.Event], object],
        fail: Callable[[Exception], object],
    ) -> None:
        self._listener = listener
        self._limits = limits
        self._session = session
        self._tell = tell
        self._fail = fail
        self._recording: Recording | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._refused = False
        self._flooded = False

    def start(self, mode: ListenMode, idle_frame: float | None = None) -> None:
        """Switch the microphone on; the page's idle loop is at `idle_frame`. Raises `Unavailable`
        without a transcriber, `InvalidInput` when it is on already, `Busy` when too much is still
        being understood."""
        # From here on sound is expected, or its refusal has been told.
        self._refused = self._listener is None
        if self._listener is None:
            raise Unavailable(
                "This server has no transcription: let the browser understand speech, or write."
            )
        if self._recording is not None:
            raise InvalidInput(
                "The microphone is on already: expected audio.stop, came audio.start."
            )
        if len(self._tasks) >= _MAX_UNFINISHED:
            self._refused = True
            raise Busy("What was said before is still being understood; please wait a moment.")
        self._flooded = False
        self._session.place_idle(idle_frame)
        self._recording = Recording(self._fell_behind)
        task = asyncio.create_task(self._listen(self._listener, self._recording, mode))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def on(self) -> bool:
        """Whether sound is expected."""
        return self._recording is not None

    def push(self, data: bytes) -> None:
        """Take signed 16-bit little-endian samples at 16 kHz. Raises `InvalidInput` for anything
        else and `TooLarge` beyond 2 s in one piece; sound without a `start` is refused once. Sound
        beyond `SoundLimits` is dropped, with one notice for each `start`."""
        if self._recording is None:
            if not self._refused:
                self._refused = True
                raise InvalidInput(f"Expected audio.start before {len(data):,} bytes of sound.")
            return
        if len(data) > MAX_PIECE_BYTES:
            raise TooLarge(
                f"At most {MAX_PIECE_BYTES:,} bytes (2 s) of sound can be taken at once, "
                f"{len(data):,} came."
            )
        if not data or len(data) % 2:
            raise InvalidInput(
                f"Expected 16-bit samples, so an even number of bytes; {len(data):,} came."
            )
        try:
            seconds = len(data) / (2 * SAMPLE_RATE_HZ)
            self._limits.take_sound(self._session.id, self._session.address, seconds)
        except RateLimited:
            if not self._flooded:
                self._flooded = True
                self._notify("too_much_sound", _TOO_MUCH)
            return
        self._recording.put(np.frombuffer(data, "<i2").astype(np.int16))

    def stop(self) -> None:
        """Switch the microphone off; what was said until now is still understood. Nothing happens
        when it is off."""
        if self._recording is not None:
            self._recording.end()
            # A piece that was on its way may still come.
            self._recording, self._refused = None, True

    async def close(self) -> None:
        """End at once, and drop what is still being understood."""
        self._recording = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, listener: Listener, recording: Recording, mode: ListenMode) -> None:
        try:
            async with aclosing(listener.listen(recording, mode, self)) as heard:
                async for event in heard:
                    await self._act(event)
        except Exception as error:
            # The border of a task: the connection goes on without a microphone.
            log.exception("the microphone failed")
            self._fail(error)
        finally:
            if self._recording is recording:
                self._recording, self._refused = None, True

    async def _act(self, event: HeardEvent) -> None:
        try:
            match event:
                case Interrupted():
                    await self._session.interrupt("user")
                case Understood(text):
                    self._tell(events.Transcript(text, final=True))
                    await self._session.submit(MESSAGE, text)
                case NotUnderstood(BudgetUsedUp()):
                    text = transcription_used_up_text(self._session.language)
                    self._tell(events.Notice("budget_used_up", text))
                case NotUnderstood(error):
                    self._fail(error)
                case NothingHeard():
                    self._notify("nothing_heard", _NOTHING_HEARD)
        except DittoAvatarError as error:
            self._fail(error)

    def _fell_behind(self) -> None:
        self._notify("microphone_behind", _BEHIND)

    def _notify(self, code: str, texts: Mapping[Language, str]) -> None:
        self._tell(events.Notice(code, texts[self._session.language]))

    # The listener's `EchoReference` -----------------------------------------------------

    @property
    def language(self) -> Language:
        """The language that the person probably speaks."""
        return self._session.language

    def played(self, seconds: float) -> FloatArray:
        """Return the sound that the page has played in the last `seconds`."""
        return self._session.loudspeaker.played(seconds)

    def spoken(self, seconds: float) -> str:
        """Return the sentences that have sounded in the last `seconds`."""
        return self._session.loudspeaker.spoken(seconds)

    def admit_utterance(self) -> None:
        """Count something said that is to be transcribed. Raises `RateLimited`."""
        self._limits.take_utterance(self._session.id)


class Recording:
    """Queue sound for the listener. When too much waits, the oldest is dropped, and `on_overflow`
    is called the first time."""

    def __init__(
        self, on_overflow: Callable[[], object], *, max_samples: int = _MAX_WAITING_SAMPLES
    ) -> None:
        self._on_overflow = on_overflow
        self._max_samples = max_samples
        self._pieces: deque[Int16Array] = deque()
        self._samples = 0
        self._ended = False
        self._overflowed = False
        self._changed = asyncio.Event()

    def put(self, piece: Int16Array) -> None:
        """Add int16 samples (n,); never waits."""
        self._pieces.append(piece)
        self._samples += len(piece)
        while self._samples > self._max_samples:
            self._samples -= len(self._pieces.popleft())
            if not self._overflowed:
                self._overflowed = True
                self._on_overflow()
        self._changed.set()

    def end(self) -> None:
        """Say that no more sound will come."""
        self._ended = True
        self._changed.set()

    async def __aiter__(self) -> AsyncIterator[Int16Array]:
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._samples -= len(piece)
                yield piece
            if self._ended:
                return
            self._changed.clear()
            await self._changed.wait()
