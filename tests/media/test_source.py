"""Media are read from the disk, whatever their names and contents ask for."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from ditto_avatar.media.source import FILMS, MP4, SOUNDS, open_media
from tests.fakes.packs import make_pack

PLAY_LISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}/a.ts\n#EXT-X-ENDLIST\n",
    "key.m3u8": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{url}/key"\n#EXTINF:1,\na.ts\n',
    "list.ffconcat": "ffconcat version 1.0\nfile '{url}/a.mp4'\n",
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" '
    'type="static"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1">'
    "<BaseURL>{url}/a.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "list.svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}/a.png"/></svg>',
}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("packs") / "oval", frames=3) / "idle.mp4"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as waiting:
        waiting.setblocking(False)
        yield waiting


@pytest.mark.parametrize("name", PLAY_LISTS)
@pytest.mark.parametrize("formats", [SOUNDS, FILMS, MP4], ids=["s", "f", "m"])
@pytest.mark.parametrize("suffix", ["", ".mp4"])
def test_a_file_that_names_an_address_is_refused_and_nobody_is_called(
    tmp_path: Path,
    film: Path,
    listener: socket.socket,
    name: str,
    formats: tuple[str, ...],
    suffix: str,
) -> None:
    shutil.copy(film, tmp_path / "a.mp4")
    path = tmp_path / (name + suffix)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    path.write_text(PLAY_LISTS[name].replace("{url}", url), encoding="utf-8")
    with pytest.raises(av.FFmpegError):
        open_media(path, formats)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_a_list_of_files_beside_it_is_refused(tmp_path: Path, film: Path) -> None:
    shutil.copy(film, tmp_path / "a.mp4")
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile a.mp4\n", encoding="utf-8")
    with av.open(str(tmp_path / "list.ffconcat")) as opened:
        assert opened.format.name == "concat"  # what FFmpeg does when it is not told otherwise
    with pytest.raises(av.FFmpegError):
        open_media(tmp_path / "list.ffconcat", FILMS)


def test_a_name_like_an_address_or_a_pattern_is_a_name(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a.mp4", "data:x", "frame%03d.mp4"):
        shutil.copy(film, tmp_path / name)
        with open_media(Path(name), MP4) as opened:
            assert opened.streams.video[0].frames == 3


def test_another_format_than_the_named_ones_is_refused(film: Path) -> None:
    with pytest.raises(av.FFmpegError):
        open_media(film, ("wav",))
