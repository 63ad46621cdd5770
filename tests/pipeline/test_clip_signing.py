"""Clips are told of at once and handed out signed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("c2pa")

from ditto_avatar.credentials.certificate import Certificate
from ditto_avatar.credentials.reading import read_credentials
from ditto_avatar.credentials.signing import Credentials
from ditto_avatar.credentials.statement import Statement
from ditto_avatar.errors import InvalidFilm, NotFound
from ditto_avatar.pipeline.clip_signing import ClipSigner
from ditto_avatar.pipeline.clips import ClipFolder
from tests.media.test_clip import stream

STATEMENT = Statement("oval", "puppet", "Nobody.", "Drawn.")


@pytest.fixture
def clips(tmp_path: Path) -> ClipFolder:
    return ClipFolder(tmp_path / "clips", max_age_s=1000, max_bytes=10**9)


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials(Certificate.for_trying(tmp_path / "certificate"))


def stored(clips: ClipFolder, statement: Statement | None = STATEMENT) -> str:
    return clips.store(stream(), np.zeros(100, np.float32), statement)


def files(tmp_path: Path) -> set[str]:
    return {path.suffix for path in (tmp_path / "clips").iterdir()}


async def test_a_clip_is_signed_before_anybody_gets_it(
    clips: ClipFolder, credentials: Credentials, tmp_path: Path
) -> None:
    signer = ClipSigner(clips, credentials)
    name = stored(clips)
    with pytest.raises(NotFound):
        clips.find("video", f"{name}.mp4")
    assert clips.has("video", f"{name}.mp4")
    signer.later(name)
    path = await signer.find("video", f"{name}.mp4")
    assert (await read_credentials(path)).statement == STATEMENT
    assert files(tmp_path) == {".mp4", ".wav", ".json"}
    await signer.close()


async def test_a_clip_that_a_killed_process_left_unsigned_is_signed_when_asked_for(
    clips: ClipFolder, credentials: Credentials
) -> None:
    name = stored(clips)
    signer = ClipSigner(clips, credentials)
    path = await signer.find("video", f"{name}.mp4")
    assert (await read_credentials(path)).statement == STATEMENT
    await signer.close()


async def test_closing_leaves_clips_to_be_signed_later(
    clips: ClipFolder, credentials: Credentials, tmp_path: Path
) -> None:
    signer = ClipSigner(clips, credentials)
    name = stored(clips)
    signer.later(name)
    await signer.close()
    assert files(tmp_path) == {".unsigned", ".json", ".wav"}


async def test_a_clip_that_is_removed_while_it_is_signed_stays_removed(
    clips: ClipFolder, credentials: Credentials, tmp_path: Path
) -> None:
    class Removing(Credentials):
        async def sign(self, film: Path, target: Path, statement: Statement) -> None:
            await credentials.sign(film, target, statement)
            (tmp_path / "clips" / f"{name}.unsigned").unlink()  # as `remove` begins

    name = stored(clips)
    signer = ClipSigner(clips, Removing(Certificate("", "", "")))
    with pytest.raises(NotFound):
        await signer.find("video", f"{name}.mp4")
    clips.remove([name])
    assert files(tmp_path) == set()
    await credentials.close()


async def test_a_film_that_cannot_be_signed_is_kept_and_counted(
    clips: ClipFolder, tmp_path: Path
) -> None:
    failed: list[int] = []
    broken = Credentials(Certificate("no", "certificate", "ES256"))
    signer = ClipSigner(clips, broken, lambda: failed.append(1))
    path = await signer.find("video", f"{stored(clips)}.mp4")
    assert failed == [1]
    with pytest.raises(InvalidFilm, match="no content credentials"):
        await read_credentials(path)
    assert files(tmp_path) == {".mp4", ".wav", ".json"}
    await signer.close()


async def test_removing_a_clip_takes_what_waits_with_it(clips: ClipFolder, tmp_path: Path) -> None:
    clips.remove([stored(clips)])
    assert files(tmp_path) == set()


async def test_without_credentials_a_clip_is_there_at_once(clips: ClipFolder) -> None:
    name = stored(clips, None)
    signer = ClipSigner(clips)
    assert not signer.signs
    assert (await signer.find("video", f"{name}.mp4")).is_file()
    with pytest.raises(NotFound):
        await signer.find("video", "../x.mp4")
    await signer.close()
