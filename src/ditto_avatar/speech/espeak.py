"""The embedded speech engine: espeak-ng through its shared library.

It needs no key, no network and no package of the operating system, and it knows exactly when
every phoneme sounds. The library keeps its state in global variables, so one thread of the
process owns it and utterances go through it one after the other; a sentence takes it a few
milliseconds.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import espeakng_loader
import numpy as np

from ditto_avatar.errors import InvalidInput, ProviderFailed
from ditto_avatar.speech.english import read_english
from ditto_avatar.speech.korean.reading import read_korean
from ditto_avatar.speech.korean.sounds import pronounced
from ditto_avatar.speech.phoneme_stream import PhonemeMark, PhonemeStream
from ditto_avatar.types import Emotion, Language, SpeechChunk, Voice

_NAME = "espeak"

_VOICES = (
    Voice("en-us+f3", Language.ENGLISH, _NAME, "English (US), female"),
    Voice("en-us+f2", Language.ENGLISH, _NAME, "English (US), female, deeper"),
    Voice("en-us+m3", Language.ENGLISH, _NAME, "English (US), male"),
    Voice("en+f3", Language.ENGLISH, _NAME, "English (UK), female"),
    Voice("en+m3", Language.ENGLISH, _NAME, "English (UK), male"),
    Voice("ko+f3", Language.KOREAN, _NAME, "한국어, 여성"),
    Voice("ko+f2", Language.KOREAN, _NAME, "한국어, 여성, 낮은 목소리"),
    Voice("ko+m3", Language.KOREAN, _NAME, "한국어, 남성"),
)


@dataclass(frozen=True, slots=True)
class _Manner:
    """How an emotion sounds: the rate as a factor, espeak's pitch and pitch range (0 to 100)."""

    rate: float = 1.0
    pitch: int = 50
    pitch_range: int = 50


_MANNERS = {
    Emotion.ANGRY: _Manner(1.06, 45, 70),
    Emotion.DISGUST: _Manner(0.95, 42, 45),
    Emotion.FEAR: _Manner(1.08, 58, 60),
    Emotion.HAPPY: _Manner(1.04, 56, 68),
    Emotion.NEUTRAL: _Manner(),
    Emotion.SAD: _Manner(0.9, 43, 32),
    Emotion.SURPRISE: _Manner(1.04, 60, 80),
    Emotion.CONTEMPT: _Manner(0.96, 44, 40),
}


class EspeakEngine:
    """Speaks with espeak-ng. `rate_wpm` is espeak's words a minute (80 to 450)."""

    name = _NAME

    def __init__(self, rate_wpm: int = 165) -> None:
        if not 80 <= rate_wpm <= 450:
            raise InvalidInput(f"espeak speaks 80 to 450 words a minute, not {rate_wpm}.")
        self._rate_wpm = rate_wpm

    @property
    def fingerprint(self) -> str:
        """The rate."""
        return f"{_NAME} {self._rate_wpm}"

    def voices(self) -> Sequence[Voice]:
        return _VOICES

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Say `sentence`; chunks of about 100 ms that never cut a phoneme.

        The buffer between the library's thread and the reader holds one sentence at most: the
        thread never waits for a reader, because every other viewer waits for the thread.
        """
        loop = asyncio.get_running_loop()
        ready: asyncio.Queue[SpeechChunk | None] = asyncio.Queue()
        stopped = threading.Event()

        def deliver(chunk: SpeechChunk | None) -> None:
            # The loop may be gone when the reader was; the next buffer sees `stopped`.
            if not stopped.is_set() and not loop.is_closed():
                loop.call_soon_threadsafe(ready.put_nowait, chunk)

        manner = _MANNERS[emotion]
        sentence = _read(sentence, voice.language)
        request = _Request(sentence, voice.id, round(self._rate_wpm * manner.rate), manner)
        work = _library().submit(request, deliver, stopped)
        outcome = asyncio.ensure_future(asyncio.wrap_future(work))
        outcome.add_done_callback(lambda _: ready.put_nowait(None))
        try:
            while (chunk := await ready.get()) is not None:
                yield chunk
            await outcome
        finally:
            stopped.set()
            outcome.cancel()

    async def check(self) -> str:
        """Say one word; a sentence about the library for `doctor`."""
        samples = 0
        async for chunk in self.speak("test", _VOICES[0]):
            samples += len(chunk.samples)
        if not samples:
            raise ProviderFailed("espeak-ng answered, but gave no sound.")
        version = await asyncio.wrap_future(_library().version())
        return f"espeak-ng {version} speaks"

    async def close(self) -> None:
        """Nothing to free: the library belongs to the process."""


def _read(sentence: str, language: Language) -> str:
    """The library knows letters and plain numbers; the rest is put into words for it."""
    if language is Language.KOREAN:
        return pronounced(read_korean(sentence))
    return read_english(sentence)


@dataclass(frozen=True, slots=True)
class _Request:
    text: str
    voice: str
    rate_wpm: int
    manner: _Manner


class _Event(ctypes.Structure):
    """`espeak_EVENT` of espeak-ng's speak_lib.h; `text` is the union's eight bytes."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("text", ctypes.c_ubyte * 8),
    )


_SYNTH_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)
_LIST_TERMINATED, _PHONEME = 0, 7
_OUTPUT_SYNCHRONOUS = 2
_BUFFER_MS = 40
_PHONEME_EVENTS, _PHONEME_IPA, _DONT_EXIT = 1, 2, 0x8000
_CHARS_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_POSITION_CHARACTER = 1

_Deliver = Callable[[SpeechChunk | None], None]


class _Library:
    """The one espeak-ng of the process, touched by its own thread only."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="espeak")
        self._handle: Any = None
        self._rate_hz = 0
        self._sink: Callable[[Any, int, Any], int] | None = None
        # Kept: the library holds a bare pointer to it.
        self._callback = _SYNTH_CALLBACK(self._on_sound)

    def submit(self, request: _Request, deliver: _Deliver, stopped: threading.Event) -> Any:
        """A future that ends when everything was delivered."""
        return self._thread.submit(self._synthesize, request, deliver, stopped)

    def version(self) -> Any:
        """A future of the library's version."""
        return self._thread.submit(self._version)

    def _version(self) -> str:
        lib = self._opened()
        text: bytes = lib.espeak_Info(None)
        return text.decode("ascii", "replace").split()[0]

    def _opened(self) -> Any:
        if self._handle is None:
            lib = ctypes.CDLL(str(Path(espeakng_loader.get_library_path())))
            lib.espeak_Info.restype = ctypes.c_char_p
            lib.espeak_Synth.argtypes = (
                ctypes.c_char_p,
                ctypes.c_size_t,
                ctypes.c_uint,
                ctypes.c_int,
                ctypes.c_uint,
                ctypes.c_uint,
                ctypes.c_void_p,
                ctypes.c_void_p,
            )
            data = str(espeakng_loader.get_data_path()).encode()
            options = _PHONEME_EVENTS | _PHONEME_IPA | _DONT_EXIT
            rate = lib.espeak_Initialize(_OUTPUT_SYNCHRONOUS, _BUFFER_MS, data, options)
            if rate <= 0:
                raise ProviderFailed(f"espeak-ng did not start (code {rate}).")
            lib.espeak_SetSynthCallback(self._callback)
            self._handle, self._rate_hz = lib, rate
        return self._handle

    def _on_sound(self, samples: Any, count: int, events: Any) -> int:
        return 1 if self._sink is None else self._sink(samples, count, events)

    def _synthesize(self, request: _Request, deliver: _Deliver, stopped: threading.Event) -> None:
        if stopped.is_set():
            return
        lib = self._opened()
        if lib.espeak_SetVoiceByName(request.voice.encode()) != 0:
            raise InvalidInput(f"espeak has no voice '{request.voice}'.")
        lib.espeak_SetParameter(_RATE, request.rate_wpm, 0)
        lib.espeak_SetParameter(_PITCH, request.manner.pitch, 0)
        lib.espeak_SetParameter(_RANGE, request.manner.pitch_range, 0)
        stream = PhonemeStream(self._rate_hz)

        def sink(samples: Any, count: int, events: Any) -> int:
            if stopped.is_set():
                return 1
            sound = (
                np.ctypeslib.as_array(samples, (count,)).astype(np.float32) / 32768.0
                if samples and count
                else np.zeros(0, np.float32)
            )
            for chunk in stream.push(sound, _marks(events)):
                deliver(chunk)
            return 0

        self._sink = sink
        try:
            text = request.text.replace("\0", " ").encode() + b"\0"
            code = lib.espeak_Synth(
                text, len(text), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
            )
        finally:
            self._sink = None
        if stopped.is_set():
            return
        if code != 0:
            raise ProviderFailed(f"espeak-ng could not say the sentence (code {code}).")
        for chunk in stream.finish():
            deliver(chunk)


def _marks(events: Any) -> list[PhonemeMark]:
    marks = []
    index = 0
    while events[index].type != _LIST_TERMINATED:
        event = events[index]
        if event.type == _PHONEME:
            # Eight bytes without a closing zero when full; a cut character is dropped.
            symbol = bytes(event.text).split(b"\0", 1)[0].decode("utf-8", "ignore")
            marks.append(PhonemeMark(symbol, event.sample))
        index += 1
    return marks


@functools.cache
def _library() -> _Library:
    return _Library()
