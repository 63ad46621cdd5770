"""How well the lips follow the voice, read off the pictures (results/quality.json).

    python -m bench.quality --mediapipe PYTHON

MediaPipe reads the lips; it lives in an environment of its own, see `bench.lips_mediapipe`. Forty
sentences, half of them Korean, slow and fast. Nothing is asked of the engine but pictures.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from bench import report
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import find_avatars, load_avatar
from ditto_avatar.face.puppet.engine import PuppetEngine
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.types import (
    SAMPLE_RATE_HZ,
    SAMPLES_PER_FRAME,
    ByteArray,
    FloatArray,
    Language,
    Phoneme,
    SpeechChunk,
    Voice,
    joined,
)

ENGLISH = (
    "Good morning, my name is Mina.",
    "The museum opens at nine every single morning.",
    "Please bring the papers back before Monday.",
    "Map, baby, five, thought, moon.",
    "My phone number is five five five, one two three four.",
    "Would you like a cup of coffee, or maybe some tea?",
    "Peter Brown bought a beautiful brown piano in Paris.",
    "We have about two hundred and fifty members now.",
    "I am sorry, I did not understand the last part.",
    "The train to Boston leaves at a quarter past ten.",
    "You can pay by card, by phone or in cash.",
    "Of course! I would be happy to help you with that.",
    "Turn left at the bank and walk up the hill.",
    "Dr. Emma Palmer will see you in room number eleven.",
    "Why don't we move the meeting to Friday afternoon?",
    "It costs forty nine dollars and ninety nine cents.",
    "Maybe my mother may remember more about him.",
    "Fifty five people voted for the very first option.",
    "Thank you very much for waiting, have a lovely evening.",
    "The weather will be warm and sunny tomorrow.",
)
KOREAN = (
    "안녕하세요, 무엇을 도와드릴까요?",
    "제 이름은 미나이고 안내를 맡고 있습니다.",
    "박물관은 매일 아침 아홉 시에 문을 엽니다.",
    "비밀번호를 잊어버리셨나요?",
    "오늘 날씨가 정말 좋네요.",
    "부산까지 가는 기차표 두 장 부탁합니다.",
    "전화번호는 공일공 이삼사오 육칠팔구입니다.",
    "엄마와 아빠가 밥을 먹고 바다를 보러 갔어요.",
    "회의는 오후 세 시 반으로 옮겼습니다.",
    "포도와 바나나, 그리고 배를 샀습니다.",
    "죄송하지만 다시 한번 말씀해 주시겠어요?",
    "커피 한 잔에 사천오백 원입니다.",
    "왼쪽으로 돌아서 은행 앞까지 걸어가세요.",
    "김민수 선생님은 지금 외출 중이십니다.",
    "영수증이 필요하시면 말씀해 주세요.",
    "우리 모두 함께 노래를 불러 봅시다.",
    "빨간 풍선이 하늘 높이 올라갔습니다.",
    "이번 주 토요일에는 문을 닫습니다.",
    "기다려 주셔서 고맙습니다.",
    "봄이 오면 꽃이 피고 새가 웁니다.",
)
WORDS_A_MINUTE = (165, 140, 190, 215)
BILABIAL = frozenset("mbp")
TARGETS = {
    "offset_within_40ms_share": ">= 0.95",
    "opening_correlation": ">= 0.75",
    "closed_on_bilabials_share": ">= 0.95",
    "opening_in_silence": "< 0.05",
}

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Film:
    """A sentence and the opening of the mouth (n,) in its pictures."""

    sound: SpeechChunk
    opening: FloatArray


async def spoken(text: str, language: Language, voice: str, rate: int) -> SpeechChunk:
    """The sentence with its phonemes, between the silences of every utterance."""
    lead, tail = (SpeechChunk(np.zeros(ms * 16, np.float32)) for ms in (150, 100))
    async with EspeakEngine(rate) as engine:
        chunks = engine.speak(text, Voice(voice, language, "espeak", voice))
        return joined([lead, *[chunk async for chunk in chunks], tail])


async def acted(
    engine: PuppetEngine, avatar: Avatar, sound: SpeechChunk, start: int, *, phonetic: bool
) -> list[ByteArray]:
    """The pictures (I420) of the sentence."""
    stream = await engine.open(avatar, start)

    async def push() -> None:
        await stream.push(sound.samples, sound.phonemes if phonetic else ())
        await stream.finish()

    async with asyncio.TaskGroup() as group:
        group.create_task(push())
        pictures = [frame.yuv async for frame in stream]
    return pictures


class MediaPipeReader:
    """Hands pictures to MediaPipe in another Python."""

    def __init__(self, avatar: Avatar, python: Path) -> None:
        self._size = f"{avatar.width} {avatar.height}\n".encode()
        self._command = [str(python), str(Path(__file__).with_name("lips_mediapipe.py"))]

    def read(self, pictures: Sequence[ByteArray]) -> FloatArray:
        """The opening (n,) in distances of the eyes' outer corners."""
        data = self._size + b"".join(picture.tobytes() for picture in pictures)
        done = subprocess.run(self._command, input=data, capture_output=True, check=True)
        return np.array([float(line) for line in done.stdout.split()], np.float32)


def filled(opening: FloatArray) -> FloatArray:
    """`opening` (n,) with what could not be read taken from its neighbours."""
    known = np.flatnonzero(np.isfinite(opening))
    return np.interp(np.arange(len(opening)), known, opening[known]).astype(np.float32)


def voiced_energy(samples: FloatArray, shift: int = 0) -> FloatArray:
    """What the sound asks of the mouth, frame by frame (n,), `shift` samples later: the loudness
    (energy to the power 0.3, after Stevens) between 300 Hz and 3 kHz, where vowels ring."""
    count = len(samples) // SAMPLES_PER_FRAME
    window = np.hanning(2 * SAMPLES_PER_FRAME)
    low, high = (round(hz * len(window) / SAMPLE_RATE_HZ) for hz in (300, 3_000))
    padded = np.pad(samples, SAMPLE_RATE_HZ)
    energy = np.zeros(count)
    for frame in range(count):
        middle = SAMPLE_RATE_HZ + shift + frame * SAMPLES_PER_FRAME + SAMPLES_PER_FRAME // 2
        start = middle - len(window) // 2
        spectrum = np.abs(np.fft.rfft(padded[start : start + len(window)] * window)) ** 2
        energy[frame] = spectrum[low:high].sum()
    loudness: FloatArray = ((energy / (energy.max() + 1e-9)) ** 0.3).astype(np.float32)
    return loudness


def offset_ms(film: Film) -> float:
    """How much later than the sound the mouth moves: the lag of the best correlation."""
    lags = range(-200, 201, 10)
    fits = [correlation(film.opening, voiced_energy(film.sound.samples, -16 * lag)) for lag in lags]
    return float(lags[int(np.argmax(fits))])


def correlation(one: FloatArray, other: FloatArray) -> float:
    """Pearson's, 0 where one of them does not vary."""
    count = min(len(one), len(other))
    if np.ptp(one[:count]) == 0 or np.ptp(other[:count]) == 0:
        return 0.0
    return float(np.corrcoef(one[:count], other[:count])[0, 1])


def closures(film: Film, floor: float, span: float) -> list[float]:
    """The least opening, in shares of the range, at each P, B and M."""
    least = []
    for phoneme in film.sound.phonemes:
        if phoneme.symbol[0] in BILABIAL:
            first, last = (int(x / SAMPLES_PER_FRAME) for x in _closing(phoneme))
            least.append((film.opening[first : last + 1].min() - floor) / span)
    return least


def _closing(phoneme: Phoneme) -> tuple[float, float]:
    """When lips may be seen closed: a stop is silent before it bursts."""
    early = 0 if phoneme.symbol[0] == "m" else 480
    return phoneme.start - early, phoneme.end


def silent_frames(film: Film) -> Bools:
    """Frames that are at least 120 ms into a silence, and 80 ms before its end, (n,)."""
    samples = film.sound.samples
    frames = samples[: len(samples) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME]
    level = np.abs(frames.reshape(-1, SAMPLES_PER_FRAME)).max(1)
    quiet = level < 0.01 * np.abs(samples).max()
    silent = quiet.copy()
    for back in (1, 2, 3):
        silent[back:] &= quiet[:-back]
    for ahead in (1, 2):
        silent[:-ahead] &= quiet[ahead:]
    return np.asarray(silent, np.bool_)


async def films(
    engine: PuppetEngine, avatar: Avatar, reader: MediaPipeReader, *, phonetic: bool
) -> list[Film]:
    """All sentences performed and read."""
    jobs = [(text, Language.ENGLISH, "en-us+f3") for text in ENGLISH]
    jobs += [(text, Language.KOREAN, "ko+f3") for text in KOREAN]
    sounds, pictures = [], []
    for index, (text, language, voice) in enumerate(jobs):
        sound = await spoken(text, language, voice, WORDS_A_MINUTE[index % 4])
        sounds.append(sound)
        start = index * 37 % avatar.frame_count
        pictures.append(await acted(engine, avatar, sound, start, phonetic=phonetic))
    counts = np.cumsum([len(film) for film in pictures])[:-1]
    read = reader.read([picture for film in pictures for picture in film])
    if not np.isfinite(read).mean() > 0.98:
        raise SystemExit("The mouth could not be read in more than 2 % of the pictures.")
    openings = np.split(filled(read), counts)
    return [Film(s, o) for s, o in zip(sounds, openings, strict=True)]


def figures(made: Sequence[Film]) -> dict[str, Any]:
    """The figures of some films, and per-sentence values to look into."""
    everything = np.concatenate([film.opening for film in made])
    silence = np.concatenate([film.opening[: len(silent_frames(film))][silent_frames(film)]
                              for film in made])  # fmt: skip
    floor = float(np.percentile(everything, 2))
    span = float(np.percentile(everything, 98)) - floor
    offsets = [offset_ms(film) for film in made]
    fits = [correlation(film.opening, voiced_energy(film.sound.samples)) for film in made]
    shut = [least for film in made for least in closures(film, floor, span)]
    return {
        "offset_within_40ms_share": round(float(np.mean(np.abs(offsets) <= 40)), 3),
        "offset_median_ms": float(np.median(offsets)),
        "opening_correlation": round(float(np.mean(fits)), 3),
        "opening_correlation_lowest": round(min(fits), 3),
        "closed_on_bilabials_share": round(float(np.mean(np.array(shut) < 0.15)), 3),
        "bilabials": len(shut),
        "opening_in_silence": round(float((silence.mean() - floor) / span), 3),
        "offsets_ms": offsets,
        "correlations": [round(fit, 2) for fit in fits],
    }


async def measure(name: str, mediapipe: Path) -> dict[str, Any]:
    """Figures of one presenter, with phonemes and from the sound alone."""
    avatar = load_avatar(BUNDLED / name)
    reader = MediaPipeReader(avatar, mediapipe)
    engine = PuppetEngine()
    try:
        with_phonemes = figures(await films(engine, avatar, reader, phonetic=True))
        by_ear = figures(await films(engine, avatar, reader, phonetic=False))
    finally:
        await engine.close()
    return {**with_phonemes, **{f"{key}_sound_only": value for key, value in by_ear.items()}}


def least_favourable(by_presenter: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Of each figure that has a target, the value of the presenter who does worst."""
    worst = {}
    for key, target in TARGETS.items():
        for suffix in ("", "_sound_only"):
            values = [made[key + suffix] for made in by_presenter.values()]
            worst[key + suffix] = max(values) if target.startswith("<") else min(values)
    return worst


def main(
    mediapipe: Annotated[Path, typer.Option(help="A Python that has MediaPipe 0.10.21.")],
    presenter: Annotated[list[str] | None, typer.Option(help="Who; all if left out.")] = None,
) -> None:
    """Measure and write results/quality.json."""
    names = presenter or [path.name for path in find_avatars(BUNDLED)]
    made = {name: asyncio.run(measure(name, mediapipe)) for name in names}
    report.write(
        "quality",
        {
            "read_by": "MediaPipe 0.10.21",
            "sentences": len(ENGLISH + KOREAN),
            **least_favourable(made),
            **made,
        },
        {key: report.Target(text) for key, text in TARGETS.items()},
    )


if __name__ == "__main__":
    typer.run(main)
