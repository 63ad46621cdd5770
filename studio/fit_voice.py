"""Fit the network that reads the mouth off the sound (`face.puppet.audio_mouth.MouthNetwork`).

    python -m studio.fit_voice            writes src/ditto_avatar/face/puppet/voice.npz

espeak-ng says sentences of the project's notes and of a list below in many voices, so that the
phonemes and their times are known; their channels are what the network learns to give. The sound
is changed as microphones, lines and other throats would change it. Everything is seeded.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from ditto_avatar.face.puppet.audio_mouth import CONTEXT, FEATURES, SILENCE, SoundMeter, sounded
from ditto_avatar.face.puppet.coarticulation import REACH, blend, gestures, pauses
from ditto_avatar.face.puppet.visemes import CHANNELS, Channel
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.types import (
    SAMPLES_PER_FRAME,
    FloatArray,
    Language,
    Phoneme,
    SpeechChunk,
    Voice,
    joined,
)

log = logging.getLogger("fit_voice")

TARGET = Path(__file__).parents[1] / "src/ditto_avatar/face/puppet/voice.npz"
HIDDEN = 64
ROUNDS = 60
BATCH = 512

MORE = {
    Language.ENGLISH: [
        "Map, baby, five, thought, moon, river, shoe, judge, yellow, window.",
        "How much wood would a woodchuck chuck if a woodchuck could chuck wood?",
        "Peter Piper picked a peck of pickled peppers.",
        "We were away a year ago, and you know who knew it too.",
        "Three thousand five hundred and sixty two point nine percent.",
        "Good evening, my name is Amy, and I am very happy to meet you!",
        "Vivid fireworks over the valley fascinated five visitors.",
        "The boy enjoyed the noisy toy while his father thought of food.",
        "She sells sea shells by the shore, and the shells she sells are surely sea shells.",
        "Could you please put the blue book back on the upper shelf?",
    ],
    Language.KOREAN: [
        "안녕하세요, 무엇을 도와드릴까요?",
        "비밀번호를 잊어버리셨으면 파란 버튼을 눌러 보세요.",
        "우리 엄마는 오늘 아침에 빵과 우유를 사 오셨어요.",
        "외국에서 온 의사가 위층 회의실에서 기다리고 있습니다.",
        "부산에서 서울까지 기차로 두 시간 반쯤 걸립니다.",
        "포도, 바나나, 배, 사과, 복숭아, 딸기가 모두 맛있어요.",
        "으스스한 그늘에서 쉬고 있는 귀여운 고양이를 보았습니다.",
        "요즘 유명한 영화를 보려면 표를 미리 예매해야 합니다.",
        "네, 맞아요. 왜 그렇게 생각하셨는지 말씀해 주시겠어요?",
        "삼월 십오일 오후 여섯 시에 만나기로 했어요.",
    ],
}
VARIANTS = ("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "klatt2")


def sentences(language: Language) -> list[str]:
    """The sentences of the notes in one language, and the ones above."""
    folder = resources.files("ditto_avatar.dialogue") / "notes" / language.value
    text = " ".join(
        file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".md")
    )
    text = re.sub(r"[#*`>|\[\]()_-]+|https?://\S+", " ", text)
    parts = [part.strip() for part in re.split(r"(?<=[.!?。])\s+", text)]
    return [part for part in parts if 20 < len(part) < 160] + MORE[language]


async def say(text: str, language: Language, variant: str, rate: int) -> SpeechChunk:
    """`text` by espeak-ng with its phonemes, 200 ms of silence around it."""
    base = {Language.ENGLISH: "en-us", Language.KOREAN: "ko"}[language]
    voice = Voice(f"{base}+{variant}", language, "espeak", variant)
    silence = SpeechChunk(np.zeros(3_200, np.float32))
    async with EspeakEngine(rate) as engine:
        spoken = [chunk async for chunk in engine.speak(text, voice)]
    return joined([silence, *spoken, silence])


def changed(chunk: SpeechChunk, rng: np.random.Generator) -> SpeechChunk:
    """The same in another throat, room and line: pitch and formants moved by up to 15 %, the
    spectrum tilted and dented, an echo, noise, another level."""
    speed = float(rng.uniform(0.87, 1.15))
    sound = soxr.resample(chunk.samples, 16_000, round(16_000 / speed))
    phonemes = tuple(
        Phoneme(p.symbol, int(p.start / speed), int(p.end / speed), p.stressed)
        for p in chunk.phonemes
    )
    spectrum = np.fft.rfft(sound)
    octaves = np.log2(np.maximum(np.linspace(0, 8_000, len(spectrum)), 60) / 500)
    gain_db = rng.uniform(-5, 5) * octaves / 2
    for _ in range(3):
        gain_db += rng.uniform(-8, 8) * np.exp(
            -(((octaves - rng.uniform(-2, 4)) / rng.uniform(0.3, 1)) ** 2)
        )
    sound = np.fft.irfft(spectrum * 10 ** (gain_db / 20), len(sound))
    echo = np.zeros(2_400)
    echo[0] = 1
    if rng.random() < 0.4:
        tail = rng.normal(0, 1, 2_399) * np.exp(-np.arange(2_399) / rng.uniform(150, 700))
        echo[1:] = 0.05 * tail
        sound = np.convolve(sound, echo)[: len(sound)]
    sound = sound / (np.abs(sound).max() + 1e-9) * 10 ** rng.uniform(-1.2, -0.1)
    sound += rng.normal(0, 1, len(sound)) * 10 ** rng.uniform(-4.5, -2.4)
    return SpeechChunk(np.clip(sound, -1, 1).astype(np.float32), phonemes)


def examples(chunk: SpeechChunk) -> tuple[FloatArray, FloatArray]:
    """Bands around every frame (n, 7 * 52), and its channels (n, 8)."""
    count = len(chunk.samples) // SAMPLES_PER_FRAME
    meter = SoundMeter()
    voices = [
        meter.measure(chunk.samples[i * SAMPLES_PER_FRAME : (i + 1) * SAMPLES_PER_FRAME])
        for i in range(count)
    ]
    padded = [SILENCE] * CONTEXT + voices + [SILENCE] * CONTEXT
    asked = [gesture for phoneme in chunk.phonemes for gesture in gestures(phoneme)]
    asked += pauses(chunk.phonemes, -REACH, len(chunk.samples) + REACH)
    inputs, targets = [], []
    for frame in range(count):
        window = padded[frame : frame + 2 * CONTEXT + 1]
        inputs.append(np.concatenate([voice.bands for voice in window]))
        centre = frame * SAMPLES_PER_FRAME
        near = [g for g in asked if g.start - REACH < centre < g.end + REACH]
        around = (padded[frame + CONTEXT - 1].voiced + padded[frame + CONTEXT + 1].voiced) / 2
        voiced = 0.7 * voices[frame].voiced + 0.3 * around
        targets.append(sounded(blend(frame, near), voiced))
    return np.stack(inputs), np.stack(targets)


async def corpus(rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Examples of every sentence in four voices each."""
    inputs, targets = [], []
    for language in Language:
        for text in sentences(language):
            for variant in rng.choice(VARIANTS, 4, replace=False):
                spoken = await say(text, language, str(variant), int(rng.integers(130, 230)))
                bands, channels = await asyncio.to_thread(examples, changed(spoken, rng))
                inputs.append(bands)
                targets.append(channels)
    return np.concatenate(inputs), np.concatenate(targets)


def fit(inputs: FloatArray, targets: FloatArray, rng: np.random.Generator) -> dict[str, Any]:
    """Adam on the squared error, every sixth stretch of 200 frames kept aside to judge by."""
    mean, scale = inputs.mean(0), 1 / (inputs.std(0) + 0.05)
    seen = (inputs - mean) * scale
    aside = (np.arange(len(seen)) // 200) % 6 == 5
    known, asked = seen[~aside], targets[~aside]
    size = seen.shape[1]
    parameters = [
        rng.normal(0, 1 / np.sqrt(size), (size, HIDDEN)).astype(np.float32),
        np.zeros(HIDDEN, np.float32),
        rng.normal(0, 1 / np.sqrt(HIDDEN), (HIDDEN, CHANNELS)).astype(np.float32),
        targets.mean(0).astype(np.float32),
    ]
    first = [np.zeros_like(p) for p in parameters]
    second = [np.zeros_like(p) for p in parameters]
    losses: deque[float] = deque(maxlen=200)
    step = 0
    for turn in range(ROUNDS):
        rate = 2e-3 * 0.5 * (1 + np.cos(np.pi * turn / ROUNDS))
        for batch in np.array_split(rng.permutation(len(known)), len(known) // BATCH):
            step += 1
            gradients, loss = slopes(known[batch], asked[batch], parameters, rng)
            losses.append(loss)
            for index, gradient in enumerate(gradients):
                first[index] += 0.1 * (gradient - first[index])
                second[index] += 0.001 * (gradient**2 - second[index])
                ahead = first[index] / (1 - 0.9**step)
                spread = np.sqrt(second[index] / (1 - 0.999**step)) + 1e-8
                parameters[index] -= np.float32(rate) * (ahead / spread + 0.01 * parameters[index])
        if turn % 10 == 9:
            hidden = np.tanh(seen[aside] @ parameters[0] + parameters[1])
            guess = np.clip(hidden @ parameters[2] + parameters[3], 0, 1)
            fits = [
                float(np.corrcoef(guess[:, c], targets[aside][:, c])[0, 1]) for c in range(CHANNELS)
            ]
            named = ", ".join(
                f"{c.name.lower()} {r:.2f}" for c, r in zip(Channel, fits, strict=True)
            )
            log.info("round %d: loss %.4f; correlation aside: %s", turn + 1, np.mean(losses), named)
    names = ("mean", "scale", "hidden", "hidden_bias", "output", "output_bias")
    return dict(zip(names, [mean, scale, *parameters], strict=True))


def slopes(
    inputs: FloatArray, targets: FloatArray, parameters: list[FloatArray], rng: np.random.Generator
) -> tuple[list[FloatArray], float]:
    """Gradients of the mean squared error, with a tenth of the inputs dropped."""
    into, bias, out, out_bias = parameters
    inputs = inputs * (rng.random(inputs.shape) > 0.1)
    hidden = np.tanh(inputs @ into + bias)
    error = hidden @ out + out_bias - targets
    share = 2 / error.size
    back = (error @ out.T) * (1 - hidden**2)
    gradients = [inputs.T @ back, back.sum(0), hidden.T @ error, error.sum(0)]
    return [(g * share * CHANNELS).astype(np.float32) for g in gradients], float((error**2).mean())


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rng = np.random.default_rng(7)
    inputs, targets = asyncio.run(corpus(rng))
    assert inputs.shape[1] == (2 * CONTEXT + 1) * FEATURES
    log.info("%d frames", len(inputs))
    fitted = fit(inputs, targets, rng)
    halves = {name: value.astype(np.float16) for name, value in fitted.items()}
    np.savez_compressed(TARGET, **halves)
    log.info("%s: %d bytes", TARGET.name, TARGET.stat().st_size)


if __name__ == "__main__":
    main()
