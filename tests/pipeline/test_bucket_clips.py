"""Clips in a bucket, at two servers with a folder each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ditto_avatar.credentials.statement import Statement
from ditto_avatar.errors import InvalidInput, NotFound, StorageFailed
from ditto_avatar.pipeline.bucket_clips import Bucket, BucketClips
from tests.fakes.s3_server import FakeS3, fake_s3
from tests.media.test_clip import stream

SOUND = np.zeros(640, np.float32)
MOVIE = stream()


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    with fake_s3() as server:
        yield server


def clips(s3: FakeS3, folder: Path, max_age_s: float = 3_600) -> BucketClips:
    bucket = Bucket("s3://clips/site", endpoint=s3.endpoint, key_id="key", secret="secret")
    return BucketClips(folder, bucket, max_age_s=max_age_s, max_bytes=10_000_000)


def test_a_clip_of_one_server_is_found_at_another(s3: FakeS3, tmp_path: Path) -> None:
    name = clips(s3, tmp_path / "a").store(MOVIE, SOUND)
    assert sorted(s3.objects) == [f"clips/site/{name}.mp4", f"clips/site/{name}.wav"]
    other = clips(s3, tmp_path / "b")
    found = other.find("video", f"{name}.mp4")
    assert found.read_bytes() == (tmp_path / "a" / f"{name}.mp4").read_bytes()
    assert other.find("audio", f"{name}.wav").parent == tmp_path / "b"
    asked = len(s3.requests)
    assert other.find("video", f"{name}.mp4") == found
    assert len(s3.requests) == asked  # from the folder
    assert list((tmp_path / "b").glob(".*")) == []


def test_a_film_that_waits_to_be_signed_is_signed_wherever_it_is_asked_for(
    s3: FakeS3, tmp_path: Path
) -> None:
    stated = Statement("mina", "puppet", "Not a real person.", "Rendered.")
    name = clips(s3, tmp_path / "a").store(MOVIE, SOUND, stated)
    assert f"clips/site/{name}.mp4" not in s3.objects
    other = clips(s3, tmp_path / "b")
    with pytest.raises(NotFound):
        other.find("video", f"{name}.mp4")
    waiting = other.unsigned(f"{name}.mp4")
    assert waiting is not None
    assert waiting[1] == stated
    other.target(f"{name}.mp4").write_bytes(b"signed")
    other.settle(f"{name}.mp4", signed=True)
    assert f"clips/site/{name}.unsigned" not in s3.objects
    third = clips(s3, tmp_path / "c")
    assert third.find("video", f"{name}.mp4").read_bytes() == b"signed"
    assert third.statement(f"{name}.mp4") == stated
    third.remove([name])
    assert s3.objects == {}


def test_a_clip_that_is_nowhere_is_not_found(s3: FakeS3, tmp_path: Path) -> None:
    folder = clips(s3, tmp_path)
    with pytest.raises(NotFound):
        folder.find("video", "x" * 22 + ".mp4")
    asked = len(s3.requests)
    for name in ("../secrets.mp4", "short.mp4", "x" * 22 + ".wav"):
        with pytest.raises(NotFound):
            folder.find("video", name)
    assert len(s3.requests) == asked  # such a name is asked for nowhere


def test_a_removed_clip_is_gone_from_the_bucket(s3: FakeS3, tmp_path: Path) -> None:
    folder = clips(s3, tmp_path)
    name = folder.store(MOVIE, SOUND)
    folder.remove([name])
    assert s3.objects == {}
    assert list(tmp_path.iterdir()) == []
    folder.remove([name])  # again is no error


def test_a_store_that_refuses_leaves_nothing_and_says_so(s3: FakeS3, tmp_path: Path) -> None:
    s3.refuses = True
    folder = clips(s3, tmp_path / "a")
    with pytest.raises(StorageFailed, match="A clip could not be stored"):
        folder.store(MOVIE, SOUND)
    s3.refuses = False
    name = folder.store(MOVIE, SOUND)
    s3.refuses = True
    with pytest.raises(StorageFailed, match="could not be read"):
        clips(s3, tmp_path / "b").find("video", f"{name}.mp4")
    with pytest.raises(StorageFailed, match="could not be removed"):
        folder.remove([name])
    assert folder.find("video", f"{name}.mp4").is_file()  # to be removed again


def test_old_clips_leave_the_bucket(s3: FakeS3, tmp_path: Path) -> None:
    folder = clips(s3, tmp_path)
    old, new = folder.store(MOVIE, SOUND), folder.store(MOVIE, SOUND)
    for suffix in ("mp4", "wav"):
        data, _ = s3.objects[f"clips/site/{old}.{suffix}"]
        long_ago = datetime.now(UTC) - timedelta(hours=2)
        s3.objects[f"clips/site/{old}.{suffix}"] = (data, long_ago)
    folder.sweep()
    assert sorted(s3.objects) == [f"clips/site/{new}.mp4", f"clips/site/{new}.wav"]


@pytest.mark.parametrize("url", ["clips", "https://example.org/clips", "s3:///prefix"])
def test_an_address_that_names_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="expected a bucket as s3://bucket/prefix"):
        Bucket(url)
