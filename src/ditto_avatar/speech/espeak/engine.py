"""The embedded voice as a `SpeechEngine`.

It needs no key, no network and no package of the operating system, and it knows exactly when
every phoneme sounds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

import numpy as np

from ditto_avatar.cores import usable_cores
from ditto_avatar.errors import InvalidInput, ProviderFailed
from ditto_avatar.speech.english import read_english
from ditto_avatar.speech.espeak import protocol
from ditto_avatar.speech.espeak.pool import Pool
from ditto_avatar.speech.espeak.process import Deadlines
from ditto_avatar.speech.espeak.request import Request, pieces
from ditto_avatar.speech.espeak.sound import Frame
from ditto_avatar.speech.espeak.voices import NAME, PROSODIES, VOICES
from ditto_avatar.speech.korean.reading import read_korean
from ditto_avatar.speech.korean.sounds import pronounced
from ditto_avatar.speech.phoneme_stream import PhonemeStream
from ditto_avatar.speech.scripts import runs
from ditto_avatar.types import Emotion, FloatArray, Language, SpeechChunk, Voice

# A sentence takes a child some 10 ms: more children than this would never all be busy.
_MOST_CHILDREN = 8


class EspeakEngine:
    """Speaks with espeak-ng, in child processes that the engine owns: `close` ends them.

    `rate_wpm` is espeak's words a minute (80 to 450). There is one child a core, `children` if
    given; each is started when it is first needed, all of them by `check`. `on_child_lost` is
    called for every child that failed, with the reason in a word. An engine belongs to the event
    loop in which it is first used.
    """

    name = NAME

    def __init__(
        self,
        rate_wpm: int = 165,
        *,
        children: int | None = None,
        deadlines: Deadlines | None = None,
        on_child_lost: Callable[[str], object] | None = None,
    ) -> None:
        if not 80 <= rate_wpm <= 450:
            raise InvalidInput(f"espeak speaks 80 to 450 words a minute, not {rate_wpm}.")
        self._rate_wpm = rate_wpm
        self.on_child_lost = on_child_lost
        size = children or min(usable_cores(), _MOST_CHILDREN)
        self._pool = Pool(size, deadlines=deadlines, on_lost=on_child_lost)

    @property
    def fingerprint(self) -> str:
        """The rate."""
        return f"{NAME} {self._rate_wpm}"

    @property
    def pids(self) -> list[int]:
        """The process ids of the children that run now."""
        return self._pool.pids

    def voices(self) -> Sequence[Voice]:
        return VOICES

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Say `sentence`; chunks of about 100 ms that never cut a phoneme.

        A child that dies or hangs is replaced, and the sentence goes on where its sound broke
        off. Raises `SentenceFailed` when the second attempt fails too, `InvalidInput` for a voice
        that espeak-ng does not have. Cancelling and closing early are safe: the child is free for
        the next sentence after the buffer of sound that it is making.
        """
        prosody = PROSODIES[emotion]
        rate_wpm = round(self._rate_wpm * prosody.rate)
        for piece, voice_id in parts(sentence, voice):
            stream = PhonemeStream(protocol.SAMPLE_RATE_HZ)
            sound = self._pool.say(
                Request(piece, voice_id, rate_wpm, prosody.pitch, prosody.pitch_range)
            )
            try:
                async for frame in sound:
                    for chunk in stream.push(_floats(frame), frame.marks):
                        yield chunk
                for chunk in stream.finish():
                    yield chunk
            finally:
                sound.stop()

    async def phonemes(self, text: str, voice: str) -> list[tuple[str, ...]]:
        """Return the words of `text` in phonemes (IPA), as espeak's `voice` says them: what other
        voices need. Raises and is cancelled like `speak`."""
        prosody = PROSODIES[Emotion.NEUTRAL]
        request = Request(
            text, voice, self._rate_wpm, prosody.pitch, prosody.pitch_range, spell=True
        )
        sound = self._pool.say(request)
        words: list[tuple[str, ...]] = []
        word: list[str] = []
        try:
            async for frame in sound:
                for mark in frame.marks:
                    if mark.symbol:
                        word.append(mark.symbol)
                    elif word:
                        words.append(tuple(word))
                        word = []
        finally:
            sound.stop()
        return words

    async def check(self) -> str:
        """Start all children and say one word; returns a sentence about the library for `doctor`.
        The server does this when it starts, so that no visitor waits for a child."""
        await self._pool.start()
        samples = 0
        async for chunk in self.speak("test", VOICES[0]):
            samples += len(chunk.samples)
        if not samples:
            raise ProviderFailed("espeak-ng answered, but gave no sound.")
        return f"espeak-ng {self._pool.version} speaks"

    async def __aenter__(self) -> EspeakEngine:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the children. Cancelling is safe; closing again waits for the rest."""
        await self._pool.close()


def parts(sentence: str, voice: Voice) -> Iterator[tuple[str, str]]:
    """Cut `sentence` into what a child is asked to say, with espeak's voice for it: words in
    another script are said by the voice of theirs, of the same speaker."""
    _, _, speaker = voice.id.partition("+")
    for run in runs(read(sentence, voice.language), voice.language):
        foreign = run.voice and f"{run.voice}+{speaker}".rstrip("+")
        hangul = voice.language is Language.KOREAN if run.voice is None else run.voice == "ko"
        text = pronounced(run.text) if hangul else run.text
        for piece in pieces(text):
            yield piece, foreign or voice.id


def read(sentence: str, language: Language) -> str:
    """Put `sentence` into letters and plain numbers: the library knows no more."""
    return read_korean(sentence) if language is Language.KOREAN else read_english(sentence)


def _floats(frame: Frame) -> FloatArray:
    return np.frombuffer(frame.samples, np.int16).astype(np.float32) / 32768.0
