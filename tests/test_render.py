from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext

from ditto_avatar.errors import InvalidInput, ProviderFailed, StorageFull
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.backdrop import before
from ditto_avatar.face.cutting import write_cutout
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.media.captions import Cue
from ditto_avatar.pipeline.see_through_sink import SeeThroughSink
from ditto_avatar.render import Script, read_script, render
from ditto_avatar.speech.fallback import FallbackSpeech
from ditto_avatar.types import (
    SAMPLES_PER_FRAME,
    ByteArray,
    Emotion,
    Language,
    SpeechChunk,
    VideoFrame,
    Voice,
)
from tests.cancelling import cancelled_everywhere
from tests.fakes.engines import LoudnessFace, ToneSpeech
from tests.fakes.packs import make_pack


@pytest.fixture(scope="module")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    return load_avatar(make_pack(tmp_path_factory.mktemp("avatars") / "oval"))


def probe(path: Path) -> tuple[int, float]:
    with av.open(str(path), "r") as file:
        frames = sum(1 for _ in file.decode(video=0))
    with av.open(str(path), "r") as file:
        samples = sum(frame.samples for frame in file.decode(audio=0))
    return frames, samples / 48_000


def said(text: str) -> Script:
    return Script(text, Language.ENGLISH)


def played(samples: int) -> Script:
    return Script("", Language.ENGLISH, SpeechChunk(np.full(samples, 0.1, np.float32)))


def tone() -> FallbackSpeech:
    return FallbackSpeech([ToneSpeech()])


async def test_a_text_becomes_a_film_of_its_length(avatar: Avatar, tmp_path: Path) -> None:
    face, seen = LoudnessFace(), []
    out = tmp_path / "out.mp4"
    made = await render(
        said("Hello there. Good bye."),
        avatar,
        face,
        tone(),
        out,
        on_drawn=lambda done, total: seen.append((done, total)),
    )
    frames, seconds = probe(out)
    assert frames == made.frames == round(made.seconds * 25)
    assert seconds == pytest.approx(made.seconds, abs=0.03)
    assert seen[-1] == (frames, frames)
    assert face.open_streams == 0


async def test_a_recording_is_drawn_to_its_last_partial_frame(
    avatar: Avatar, tmp_path: Path
) -> None:
    seen: list[int | None] = []
    made = await render(
        played(640 * 30 + 1),
        avatar,
        LoudnessFace(),
        tone(),
        tmp_path / "o.mp4",
        on_drawn=lambda done, total: seen.append(total),
    )
    assert made.frames == 31
    assert set(seen) == {31}  # known from the beginning


async def test_the_tags_of_a_text_are_emotions_and_not_words(
    avatar: Avatar, tmp_path: Path
) -> None:
    speech = ToneSpeech()
    await render(
        said("[happy] Good."), avatar, LoudnessFace(), FallbackSpeech([speech]), tmp_path / "o.mp4"
    )
    assert speech.said == ["Good."]


class BrokenSpeech(ToneSpeech):
    name = "broken"

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        raise ProviderFailed("The service is down.")
        yield


class BreakingSpeech(ToneSpeech):
    """Speaks one sentence, and then no more."""

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        if self.said:
            raise ProviderFailed("The service is down.")
        async for chunk in super().speak(sentence, voice, emotion):
            yield chunk


async def test_a_speech_engine_that_takes_over_is_named(avatar: Avatar, tmp_path: Path) -> None:
    speech = FallbackSpeech([BrokenSpeech(), ToneSpeech()])
    notices: list[str] = []
    made = await render(
        said("Hi. Ho."),
        avatar,
        LoudnessFace(),
        speech,
        tmp_path / "o.mp4",
        on_notice=notices.append,
    )
    assert made.frames
    assert notices == ["The engine broken is not working, so tone speaks for now."]


async def test_nothing_to_say_is_one_clear_error_and_no_file(
    avatar: Avatar, tmp_path: Path
) -> None:
    face = LoudnessFace()
    with pytest.raises(InvalidInput, match="nothing to say"):
        await render(said("🙂"), avatar, face, tone(), tmp_path / "o.mp4")
    assert not list(tmp_path.iterdir())
    assert face.open_streams == 0


async def test_an_output_that_cannot_be_written_is_one_clear_error(
    avatar: Avatar, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    face = LoudnessFace()
    with pytest.raises(StorageFull):
        await render(played(6400), avatar, face, tone(), tmp_path / "file" / "o.mp4")
    assert face.open_streams == 0


class FeelingSpeech(ToneSpeech):
    """Keeps the emotions that it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.emotions: list[Emotion] = []

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        self.emotions.append(emotion)
        async for chunk in super().speak(sentence, voice, emotion):
            yield chunk


async def test_captions_are_spoken_at_their_times(avatar: Avatar, tmp_path: Path) -> None:
    path = tmp_path / "talk.srt"
    path.write_text(
        "1\n00:00:01,000 --> 00:00:02,000\nHello there.\n\n"
        "2\n00:00:04,000 --> 00:00:05,000\n[happy] Good bye.\n"
    )
    speech, notices = FeelingSpeech(), list[str]()
    out = tmp_path / "out.mp4"
    script = read_script(path, Language.ENGLISH)
    voices = FallbackSpeech([speech])
    await render(script, avatar, LoudnessFace(), voices, out, on_notice=notices.append)
    loud = loudness(out)
    for second, speaks in ((0.5, False), (1.3, True), (3.5, False), (4.3, True)):
        assert (loud[round(second * 25)] > 0.01) == speaks, second
    assert speech.emotions == [Emotion.NEUTRAL, Emotion.HAPPY]
    assert notices == []


async def test_a_caption_that_comes_too_early_waits_and_that_is_told(
    avatar: Avatar, tmp_path: Path
) -> None:
    notices: list[str] = []
    cues = [Cue(0, 1, "This is a rather long sentence to be spoken."), Cue(0.1, 1, "And another.")]
    script = Script("", Language.ENGLISH, captions=cues)
    await render(
        script, avatar, LoudnessFace(), tone(), tmp_path / "o.mp4", on_notice=notices.append
    )
    assert len(notices) == 1
    assert notices[0].startswith("Caption 2 begins ")


def test_a_script_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    for name in ("a.txt", "none.srt"):
        with pytest.raises(InvalidInput, match="cannot be read"):
            read_script(tmp_path / name, Language.ENGLISH)


def loudness(path: Path) -> list[float]:
    """The loudness of each 25th of a second."""
    with av.open(str(path), "r") as file:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    whole = sound[: len(sound) // 1920 * 1920].reshape(-1, 1920)
    return [float(value) for value in np.sqrt((whole**2).mean(axis=1))]


@pytest.fixture
def see_through(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    """The oval with a cutout: a disc that is opaque, and nothing around it."""
    folder = make_pack(tmp_path_factory.mktemp("cut") / "oval")
    plain = load_avatar(folder)
    rows, columns = np.mgrid[: plain.height, : plain.width].astype(np.float32)
    away = np.hypot(rows - plain.height / 2, columns - plain.width / 2)
    opacity = np.clip((plain.height / 3 - away) / 8 + 0.5, 0, 1).astype(np.float32)
    write_cutout(plain, np.zeros((plain.height, plain.width, 3), np.float32),
                 [opacity] * plain.frame_count)  # fmt: skip
    return before(load_avatar(folder), "transparent")


def pictures_with_opacity(path: Path) -> list[ByteArray]:
    """Every picture of a film, (h, w, 4)."""
    with av.open(str(path), "r") as file:
        stream = file.streams.video[0]
        codec = "libvpx-vp9" if path.suffix == ".webm" else stream.codec_context.name
        decoder = av.CodecContext.create(codec, "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.extradata = stream.codec_context.extradata
        found = [frame for packet in file.demux(stream) for frame in decoder.decode(packet)]
    return [np.asarray(frame.to_ndarray(format="rgba"), np.uint8) for frame in found]


@pytest.mark.parametrize("suffix", [".webm", ".mov"])
async def test_a_film_of_a_presenter_alone_is_transparent_around_it(
    see_through: Avatar, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"o{suffix}"
    made = await render(said("Hello there."), see_through, LoudnessFace(), tone(), out)
    pictures = pictures_with_opacity(out)
    assert len(pictures) == made.frames
    opacity = pictures[-1][..., 3]
    assert opacity.shape == (see_through.height, see_through.width)
    assert opacity[see_through.height // 2, see_through.width // 2] > 250
    assert opacity[4, 4] < 4
    with av.open(str(out), "r") as file:
        sound = file.streams.audio[0]
        seconds = sum(frame.samples for frame in file.decode(sound)) / sound.rate
    assert seconds == pytest.approx(made.seconds, abs=0.05)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


async def test_a_transparent_film_that_fails_leaves_nothing(
    see_through: Avatar, tmp_path: Path
) -> None:
    speech = FallbackSpeech([BreakingSpeech()])
    with pytest.raises(ProviderFailed):
        await render(said("Hi. Ho."), see_through, LoudnessFace(), speech, tmp_path / "o.webm")
    assert not list(tmp_path.iterdir())


async def test_a_transparent_film_that_is_cancelled_anywhere_leaves_no_part_of_it(
    see_through: Avatar, tmp_path: Path
) -> None:
    segment: Any = None  # the film takes the pictures of all as they come
    picture = np.full((see_through.height * 3 // 2, see_through.width), 128, np.uint8)
    silence = np.zeros(SAMPLES_PER_FRAME, np.float32)

    async def film() -> None:
        sink = SeeThroughSink(see_through, tmp_path / "o.webm", pool, lambda done: None)
        try:
            for index in range(3):
                await sink.add(segment, VideoFrame(index, index, picture), silence)
            await sink.finish()
        finally:
            sink.abandon()

    with ThreadPoolExecutor(1) as pool:
        cancelled = 0
        async for _ in cancelled_everywhere(film):
            cancelled += 1
            # What the thread was at is done, and what `abandon` asked for as well.
            await asyncio.wrap_future(pool.submit(lambda: None))
            assert not list(tmp_path.glob(".*"))
    assert cancelled >= 8
    assert (tmp_path / "o.webm").is_file()


async def test_a_transparent_film_needs_a_presenter_without_background(
    avatar: Avatar, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="--background transparent"):
        await render(said("Hi."), avatar, LoudnessFace(), tone(), tmp_path / "o.webm")
