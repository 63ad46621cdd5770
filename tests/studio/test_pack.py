"""The pack's tables and files that need no Blender."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from ditto_avatar.face.puppet import arkit as puppet_arkit
from studio import arkit, atlas, backdrop, topology
from studio.about import about
from studio.camera import HEIGHT, WIDTH
from studio.characters import CHARACTERS
from studio.landmarks import Landmarks
from studio.pack import write_video


def test_the_shapes_stand_in_the_engine_s_order() -> None:
    assert tuple(arkit.SHAPES) == tuple(puppet_arkit.SHAPES)


def test_the_table_binds_every_point_of_the_skin() -> None:
    table = Landmarks.load()
    assert table.corners.shape == (468, 3)
    np.testing.assert_allclose(table.shares.sum(1), 1, atol=1e-5)
    assert table.shares.min() >= 0


def test_lips_and_lids_name_each_point_once() -> None:
    assert len(set(topology.LIPS_INNER)) == 20
    assert len({*topology.LIPS_OUTER_UPPER, *topology.LIPS_OUTER_LOWER}) == 20
    assert not set(topology.RIGHT_LIDS) & set(topology.LEFT_LIDS)


def test_the_atlas_holds_the_grid_and_the_closed_shapes() -> None:
    names = set(atlas.SHAPES)
    grid = {f"jaw{jaw:02d}_{lips}" for jaw in (0, 20, 45, 70, 100) for lips in atlas.LIPS}
    assert grid <= names
    assert {"rest", "closed", "fv", "ln", "th", "ch", "smile"} <= names
    for name in names:
        assert max(atlas.pose(name).weights) <= 1


def test_a_video_says_its_colours_and_has_a_keyframe_each_second(tmp_path: Path) -> None:
    path = tmp_path / "idle.mp4"
    rising = [np.full((64, 48, 3), 60 + 2 * index, np.uint8) for index in range(60)]
    write_video(path, rising)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.average_rate == 25
        assert stream.codec_context.colorspace == 6  # smpte170m
        assert stream.codec_context.color_range == 1  # limited
    assert [(frame.width, frame.height) for frame in frames] == [(48, 64)] * 60
    assert [index for index, frame in enumerate(frames) if frame.key_frame] == [0, 25, 50]
    # RGB 60 is luma 16 + 60 * 219 / 255 in limited range.
    assert abs(float(frames[0].to_ndarray()[:64].mean()) - 67.5) < 1.5


def test_backdrops_are_calm_and_the_same_every_time() -> None:
    for character in CHARACTERS.values():
        picture = backdrop.paint(character.backdrop, character.seed)
        assert picture.shape == (HEIGHT, WIDTH, 3)
        np.testing.assert_array_equal(picture, backdrop.paint(character.backdrop, character.seed))
        steps = np.abs(np.diff(picture.astype(int), axis=1)).mean()
        assert steps < 2.5


def test_every_presenter_says_who_it_is_and_what_may_be_done() -> None:
    for name in CHARACTERS:
        text = about(name)
        assert text["license"] == "CC0-1.0"
        assert text["provenance"] == "rendered from CC0 MakeHuman assets"
        assert text["consent"] == "synthetic person"
