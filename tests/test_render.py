from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from ditto_avatar.errors import InvalidInput, StorageFull
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.render import recorded, render, spoken
from ditto_avatar.types import Language, SpeechChunk
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


async def test_a_text_becomes_a_film_of_its_length(avatar: Avatar, tmp_path: Path) -> None:
    face, seen = LoudnessFace(), []
    sound = spoken("Hello there. Good bye.", avatar, ToneSpeech(), Language.ENGLISH)
    out = tmp_path / "out.mp4"
    made = await render(sound, avatar, face, out, lambda done, total: seen.append((done, total)))
    frames, seconds = probe(out)
    assert frames == made.frames == round(made.seconds * 25)
    assert seconds == pytest.approx(made.seconds, abs=0.03)
    assert seen[-1] == (frames, frames)
    assert face.open_streams == 0


async def test_a_recording_is_drawn_to_its_last_partial_frame(
    avatar: Avatar, tmp_path: Path
) -> None:
    samples = np.full(640 * 30 + 1, 0.1, np.float32)
    made = await render(
        recorded(SpeechChunk(samples)), avatar, LoudnessFace(), tmp_path / "o.mp4", lambda *_: None
    )
    assert made.frames == 31


async def test_nothing_to_say_is_one_clear_error_and_no_file(
    avatar: Avatar, tmp_path: Path
) -> None:
    out = tmp_path / "o.mp4"
    sound = spoken("🙂", avatar, ToneSpeech(), Language.ENGLISH)
    with pytest.raises(InvalidInput, match="nothing to say"):
        await render(sound, avatar, LoudnessFace(), out, lambda *_: None)
    assert not list(tmp_path.iterdir())


async def test_an_output_that_cannot_be_written_is_one_clear_error(
    avatar: Avatar, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFull):
        await render(
            recorded(SpeechChunk(np.ones(6400, np.float32))),
            avatar,
            LoudnessFace(),
            tmp_path / "file" / "o.mp4",
            lambda *_: None,
        )
