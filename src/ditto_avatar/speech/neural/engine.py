"""A voice model as a `SpeechEngine`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from ditto_avatar.errors import ProviderFailed
from ditto_avatar.speech.neural.families.base import VoiceModel
from ditto_avatar.speech.neural.networks import PROGRAM, order_of
from ditto_avatar.speech.neural.phonemes import Speller
from ditto_avatar.speech.neural.process import Deadlines, Result
from ditto_avatar.speech.neural.protocol import Array
from ditto_avatar.speech.neural.runner import Runner
from ditto_avatar.speech.neural.sound import Finish, Loudness, Take
from ditto_avatar.speech.phoneme_stream import PhonemeMark, PhonemeStream
from ditto_avatar.types import Emotion, Language, SpeechChunk, Voice

# How an emotion changes the tempo: what the networks can be asked for.
TEMPOS: Mapping[Emotion, float] = {
    Emotion.ANGRY: 1.06,
    Emotion.DISGUST: 0.95,
    Emotion.FEAR: 1.08,
    Emotion.HAPPY: 1.04,
    Emotion.NEUTRAL: 1.0,
    Emotion.SAD: 0.9,
    Emotion.SURPRISE: 1.04,
    Emotion.CONTEMPT: 0.96,
}
# About two seconds of speech, with most of the sounds.
_TEST_SENTENCES = {
    Language.ENGLISH: "The quick brown fox jumps over the lazy dog.",
    Language.KOREAN: "다람쥐 헌 쳇바퀴에 타고파.",
}


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What a voice took for a sentence: processor seconds until its first sound, and in all for a
    second of sound."""

    first_sound_cpu_s: float
    real_time_factor: float


class ModelSpeech:
    """Speaks with one model, in a child process that the engine owns: `close` ends it.

    `key` is the digest of the model's files, `speller` knows the phonemes and stays the caller's.
    `on_child_lost` is called for every child that failed, with the reason in a word.
    """

    def __init__(
        self,
        model: VoiceModel,
        key: str,
        speller: Speller,
        *,
        threads: int = 1,
        deadlines: Deadlines | None = None,
        on_child_lost: Callable[[str], object] | None = None,
    ) -> None:
        self.model = model
        self._key = key
        self._speller = speller
        self._loudness: dict[str, Loudness] = {}
        self._runner = Runner(
            f"the voice {model.name}",
            PROGRAM,
            order_of(model.networks, threads),
            deadlines=deadlines,
            on_lost=on_child_lost,
        )

    @property
    def name(self) -> str:
        return self.model.family

    @property
    def fingerprint(self) -> str:
        """The model's name and its content."""
        return f"{self.model.name} {self._key}"

    @property
    def pids(self) -> list[int]:
        """The process id of the child, while there is one."""
        return self._runner.pids

    @property
    def busy(self) -> asyncio.Event:
        """Set while the network runs."""
        return self._runner.busy

    def voices(self) -> Sequence[Voice]:
        return [facts.voice for facts in self.model.voices]

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Say `sentence` in chunks of about 100 ms that never cut a phoneme.

        Raises `SentenceFailed` when the model cannot say it or is busy for too long, before the
        first chunk; `ProviderFailed` when it does not start. Cancelling and closing early are
        safe: the network stops between two of its operators."""
        rate_hz = self.model.rate_hz
        stream = PhonemeStream(rate_hz, late_closures=False)
        finish = Finish(rate_hz, self._loudness.setdefault(voice.id, Loudness()))
        step, given = rate_hz // 10, 0
        async with aclosing(self.takes(sentence, voice, TEMPOS[emotion])) as takes:
            async for take in takes:
                sound, marks = finish.finish(take)
                for start in range(0, len(sound), step):
                    last = start + step >= len(sound)
                    inside = [
                        PhonemeMark(mark.symbol, mark.sample + given)
                        for mark in marks
                        if start <= mark.sample and (last or mark.sample < start + step)
                    ]
                    for chunk in stream.push(sound[start : start + step], inside):
                        yield chunk
                given += len(sound)
            for chunk in stream.finish():
                yield chunk

    async def takes(self, sentence: str, voice: Voice, tempo: float) -> AsyncGenerator[Take, None]:
        patient = False

        async def run(network: str, inputs: Mapping[str, Array]) -> Result:
            return await self._runner.run({"network": network}, inputs, patient=patient)

        takes = self.model.takes(run, self._speller, sentence, voice, tempo)
        async with aclosing(takes):
            async for take in takes:
                # What has begun to sound is said to its end.
                patient = True
                yield take

    async def check(self) -> str:
        """Say a sentence; returns what it took, in a sentence for `doctor`."""
        found = await self.measure()
        return f"{self.model.name} speaks; a second of sound takes {found.real_time_factor:.2f} s"

    async def measure(self) -> SelfTest:
        """Say a sentence twice, the first time to warm up, and tell what it took. Raises what
        `speak` raises, and `ProviderFailed` when no sound came. Cancelling is safe."""
        voice = self.voices()[0]
        for _ in range(2):
            async with aclosing(self.takes(_TEST_SENTENCES[voice.language], voice, 1.0)) as takes:
                made = [take async for take in takes]
        loudness = self._loudness.setdefault(voice.id, Loudness())
        for take in made:
            loudness.add(take.samples, self.model.rate_hz)
        seconds = sum(len(take.samples) for take in made) / self.model.rate_hz
        if not seconds:
            raise ProviderFailed(f"{self.model.name} answered, but gave no sound.")
        return SelfTest(made[0].cpu_s, sum(take.cpu_s for take in made) / seconds)

    async def close(self) -> None:
        """End the child. Cancelling is safe; closing again waits for the rest."""
        await self._runner.close()
