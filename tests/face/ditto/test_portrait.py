"""From a photo or a video to a pack, and from the pack to a film."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from ditto_avatar.cli import app
from ditto_avatar.errors import InvalidAvatar, InvalidImage
from ditto_avatar.face.ditto.engine import DittoEngine
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.portrait import meet, register_source
from ditto_avatar.face.ditto.registration import FEATURES_FILE, load_registration
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.arkit import INDEX, SHAPES
from ditto_avatar.face.puppet.motion import Pose
from ditto_avatar.face.puppet.renderer import Renderer
from ditto_avatar.face.register.tracker import head_rotations
from ditto_avatar.face.register.writing import Terms
from ditto_avatar.render import Script, render
from ditto_avatar.speech.fallback import FallbackSpeech
from ditto_avatar.types import ByteArray, FloatArray, Language, SpeechChunk
from tests.fakes import packs
from tests.fakes.engines import ToneSpeech

TERMS = Terms("CC0-1.0", "drawn by a program", "nobody is shown")
Register = Callable[[Path, Path], Path]


@pytest.fixture
def make(models: DittoModels, options: DittoOptions) -> Register:
    blink = 0.05 * np.random.default_rng(1).standard_normal((15, 63)).astype(np.float32)
    models = replace(models, config=replace(models.config, blink=blink))

    def register(path: Path, out: Path) -> Path:
        return register_source(path, out, models, options, TERMS, frames=30)

    return register


def photo(path: Path, picture: ByteArray | None = None) -> Path:
    drawn = packs.draw(packs.neutral_points()) if picture is None else picture
    assert cv2.imwrite(str(path), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
    return path


def video(path: Path, count: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = packs.WIDTH, packs.HEIGHT, "yuv420p"
        for index in range(count):
            points = packs.neutral_points() + np.array([2 * index, 0, 0])
            frame = av.VideoFrame.from_ndarray(packs.draw(points), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_photo_becomes_a_pack_with_an_idle_loop(
    make: Register, models: DittoModels, tmp_path: Path
) -> None:
    avatar = load_avatar(make(photo(tmp_path / "me.png"), tmp_path / "packs" / "me"))
    assert avatar.frame_count == 30
    assert (avatar.width, avatar.height) == (256, 320)
    assert avatar.about.license == "CC0-1.0"
    assert avatar.about.display_name["en"] == "Me"
    assert np.ptp(np.stack(list(avatar.idle_frames)).astype(int), axis=0).max() > 0
    found = load_registration(
        avatar.features_folder / FEATURES_FILE, models.key, avatar.fingerprint
    )
    assert found is not None
    rows = found.motion.rows
    moves = np.abs(np.diff(rows, axis=0)).mean(axis=1)
    assert np.abs(rows[0] - rows[-1]).mean() <= 1.5 * moves.max()
    with av.open(str(avatar.idle_path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    keyframes = [index for index, packet in enumerate(packets) if packet.is_keyframe]
    assert keyframes == [0, 25], "a frame is read without decoding the whole loop"


def test_a_photo_is_drawn_from_itself_while_it_idles_and_speaks(
    make: Register, models: DittoModels, tmp_path: Path
) -> None:
    folder = make(photo(tmp_path / "me.png"), tmp_path / "me")
    fingerprint = load_avatar(folder).fingerprint
    found = load_registration(folder / "features" / FEATURES_FILE, models.key, fingerprint)
    assert found is not None
    assert found.still is not None
    assert np.array_equal(found.still, packs.draw(packs.neutral_points()))
    assert len(found.motion) == 30


def test_a_video_becomes_its_own_idle_loop(
    make: Register, models: DittoModels, tmp_path: Path
) -> None:
    folder = make(video(tmp_path / "clip.mp4", 6), tmp_path / "clip")
    avatar = load_avatar(folder)
    assert avatar.frame_count == 10
    nose = avatar.arrays.landmarks[:, 1, 0]
    assert np.allclose(nose[1:6], nose[1:6][::-1][::-1])
    assert np.allclose(nose[6:], nose[4:0:-1])
    assert nose[5] - nose[0] == pytest.approx(10, abs=2)
    found = load_registration(folder / "features" / FEATURES_FILE, models.key, avatar.fingerprint)
    assert found is not None
    assert found.still is None
    assert np.array_equal(found.motion.rows[6:], found.motion.rows[4:0:-1])


async def test_a_photo_and_speech_become_a_film_with_sound(
    make: Register, models: DittoModels, options: DittoOptions, tmp_path: Path
) -> None:
    pack = await asyncio.to_thread(make, photo(tmp_path / "me.png"), tmp_path / "me")
    avatar = load_avatar(pack)
    engine = DittoEngine(models, options)
    sound = np.sin(np.arange(25_600) / 9).astype(np.float32) * 0.3
    done = await render(
        Script("", Language.ENGLISH, SpeechChunk(sound)),
        avatar,
        engine,
        FallbackSpeech([ToneSpeech()]),
        tmp_path / "film.mp4",
    )
    await engine.close()
    assert done.frames == 40
    with av.open(str(tmp_path / "film.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == 40
    with av.open(str(tmp_path / "film.mp4")) as film:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in film.decode(audio=0)])
    assert len(heard) / 48_000 == pytest.approx(1.6, abs=0.1)
    assert np.abs(heard[4_800:62_400]).mean() > 0.1


@pytest.mark.parametrize(
    ("terms", "key"),
    [
        (replace(TERMS, license=" "), "license"),
        (replace(TERMS, provenance=""), "provenance"),
        (replace(TERMS, consent=""), "consent"),
    ],
)
def test_a_face_without_terms_is_refused(
    models: DittoModels, options: DittoOptions, tmp_path: Path, terms: Terms, key: str
) -> None:
    path = photo(tmp_path / "me.png")
    with pytest.raises(InvalidAvatar, match=f"{key} is empty"):
        register_source(path, tmp_path / "me", models, options, terms)


@pytest.mark.parametrize("name", ["Me", "me.png", "m e", "나", "m" * 65])
def test_a_name_that_no_pack_may_have_is_refused_before_anything_is_read(
    make: Register, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InvalidAvatar, match="lower-case letters, digits, - and _"):
        make(tmp_path / "nobody.png", tmp_path / "packs" / name)
    assert not (tmp_path / "packs").exists()


def test_an_existing_pack_is_not_overwritten(make: Register, tmp_path: Path) -> None:
    (tmp_path / "me").mkdir()
    with pytest.raises(InvalidAvatar, match="exists already"):
        make(photo(tmp_path / "me.png"), tmp_path / "me")


def test_a_bad_photo_leaves_nothing_behind(make: Register, tmp_path: Path) -> None:
    path = photo(tmp_path / "wall.png", np.full((320, 256, 3), 150, np.uint8))
    (tmp_path / "packs").mkdir()
    with pytest.raises(InvalidImage, match=r"wall\.png: no face was found"):
        make(path, tmp_path / "packs" / "wall")
    assert list((tmp_path / "packs").iterdir()) == []


def test_a_loop_meets_its_own_beginning() -> None:
    rows = np.cumsum(np.ones((130, 2), np.float32), axis=0)
    loop = meet(rows, 105)
    assert len(loop) == 105
    # What follows the last row is what would have followed it.
    assert loop[0, 0] == rows[105, 0]
    assert np.array_equal(loop[25:], rows[25:105])


def turned(points: FloatArray, axis: int, angle: float) -> FloatArray:
    vector = np.zeros(3)
    vector[axis] = np.radians(angle)
    matrix, _ = cv2.Rodrigues(vector)
    return (points @ matrix.T).astype(np.float32)


def test_head_rotation_has_the_signs_of_the_pack() -> None:
    neutral = packs.neutral_points()
    nose = 1
    down, left, tilted = (
        turned(neutral, axis, angle) for axis, angle in ((0, 10), (1, -10), (2, 10))
    )
    centre = neutral.mean(axis=0)
    # The nose is nearer than the head: chin down lowers it, turning to the own left moves it
    # to the picture's right.
    assert (down[nose] - down.mean(axis=0))[1] > (neutral[nose] - centre)[1]
    assert (left[nose] - left.mean(axis=0))[0] > (neutral[nose] - centre)[0]
    found = head_rotations(np.stack([down, left, tilted]), neutral)
    assert np.allclose(found, [[10, 0, 0], [0, 10, 0], [0, 0, 10]], atol=0.01)


def test_the_command_makes_a_pack_for_ditto_and_for_the_puppet(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DITTO_CHECKPOINTS", str(checkpoints))
    monkeypatch.setenv("DITTO_DATA_DIR", str(tmp_path / "data"))
    film, out = video(tmp_path / "clip.mp4", 6), tmp_path / "avatars" / "me"
    terms = ["--license", "own", "--consent", "mine"]
    result = CliRunner().invoke(app, ["register", str(film), str(out), *terms])
    assert result.exit_code == 0, result.output
    avatar = load_avatar(out)
    assert (avatar.features_folder / FEATURES_FILE).is_file()
    arrays = avatar.arrays
    assert avatar.atlas is not None
    assert arrays.blendshapes is not None
    assert arrays.eye_closure is not None
    weights = np.zeros(len(SHAPES), np.float32)
    weights[INDEX["jawOpen"]] = 0.5
    drawn = Renderer(avatar).draw(0, Pose(weights, np.zeros(3, np.float32)))
    lips = arrays.landmarks[0, list(lm.INNER_LIPS), :2]
    x, y = lips.mean(0).astype(int)
    mouth = slice(y - 4, y + 12), slice(x - 8, x + 8)
    changed = np.abs(drawn[mouth].astype(int) - avatar.idle_frames[0][mouth])
    assert changed.mean() > 5, "the mouth does not open"
