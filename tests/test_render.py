from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import av
import numpy as np
import pytest

from ditto_avatar.errors import InvalidInput, ProviderFailed, StorageFull
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.render import Script, render
from ditto_avatar.speech.fallback import FallbackSpeech
from ditto_avatar.types import Emotion, Language, SpeechChunk, Voice
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
