"""The drawn face goes back where it came from."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ditto_avatar.face.ditto.composite import (
    Backdrop,
    Box,
    blend,
    face_box,
    feather_mask,
    paste,
    prepare,
    to_i420,
)
from ditto_avatar.face.ditto.geometry import PORTRAIT, crop_matrix, cut_out, inverse
from ditto_avatar.types import ByteArray
from tests.face.ditto.reference import Array, FloatArray, given, golden, network, normal

CPU = torch.device("cpu")


def i420(picture: ByteArray) -> ByteArray:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)


def backdrop(picture: ByteArray, matrix: FloatArray) -> Backdrop:
    height, width = picture.shape[:2]
    return prepare(picture, i420(picture), matrix, face_box(matrix[None], width, height)[0], CPU)


def blended(picture: ByteArray, matrix: FloatArray, face: torch.Tensor) -> ByteArray:
    place = backdrop(picture, matrix)
    part = blend(face, place.grid[None], place.mask[None], place.picture[None])[0]
    result, box = picture.copy(), place.box
    rows, columns = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
    result[rows, columns] = part.permute(1, 2, 0).numpy().astype(np.uint8)
    return result


def reference_frame() -> ByteArray:
    return (255 / (1 + np.exp(-normal("input/frame", 480, 640, 3)))).astype(np.uint8)


def test_the_mask_is_the_reference_mask() -> None:
    expected, mask = golden("frame"), feather_mask()
    assert np.abs(mask[256] - expected["mask_row256"]).max() < 1e-6
    assert np.abs(mask[:40, :40] - expected["mask_corner"]).max() < 1e-6


@torch.inference_mode()
def test_a_whole_frame_is_the_reference_frame_within_one_grey_level() -> None:
    expected, motion = golden("frame"), golden("motion_video_offline")
    source, driving = (torch.from_numpy(motion[key][7:8]) for key in ("x_s", "x_d"))
    volume = given("feature_3d", 1, 32, 16, 64, 64)
    face = network("decoder")(network("warp_network")(volume, source, driving))
    drawn = face[0, :, ::8, ::8].permute(1, 2, 0) * 255
    assert np.abs(drawn.numpy() - expected["rendered_stride8"]).max() < 0.05
    found = blended(reference_frame(), expected["M_c2o"], face)[::2, ::2].astype(int)
    assert np.abs(found - expected["composited"]).max() <= 1


def corner_matrix() -> FloatArray:
    return np.array([[0.3, 0.05, -20], [-0.05, 0.3, 150], [0, 0, 1]], np.float32)


def test_nothing_changes_outside_the_face() -> None:
    picture = reference_frame()
    grey = torch.full((1, 3, 512, 512), 0.5)
    changed = (blended(picture, corner_matrix(), grey) != picture).any(axis=2)
    mask = cv2.warpAffine(feather_mask(), corner_matrix()[:2], (640, 480))
    assert changed.any()
    assert not changed[mask < 1e-6].any()


def test_boxes_of_a_source_have_one_even_size_inside_the_picture() -> None:
    moved = corner_matrix()
    moved[:2, 2] += (437, 299)
    boxes = face_box(np.stack([corner_matrix(), moved]), 640, 480)
    assert len({(box.width, box.height) for box in boxes}) == 1
    for box in boxes:
        assert not any(value % 2 for value in (box.left, box.top, box.width, box.height))
        assert box.left + box.width <= 640
        assert box.top + box.height <= 480


def test_a_crop_that_is_drawn_unchanged_gives_the_picture_back() -> None:
    """The way into the crop and the way back out of it are one another's reverse."""
    picture = np.asarray(cv2.GaussianBlur(reference_frame(), (31, 31), 0), np.uint8)
    points = np.array([330, 250], np.float32) + 22 * normal("anywhere", 203, 2)
    inward = crop_matrix(points, PORTRAIT)
    crop = torch.from_numpy(cut_out(picture, inward, 512)).permute(2, 0, 1)[None] / 255
    found = blended(picture, inverse(inward), crop).astype(int)
    assert np.abs(found - picture).max() <= 3


def planes(yuv: ByteArray) -> tuple[Array, Array]:
    height = yuv.shape[0] * 2 // 3
    return yuv[:height].astype(int), yuv[height:].reshape(2, height // 2, -1).astype(int)


def test_i420_is_what_opencv_makes_of_the_same_picture() -> None:
    picture = np.asarray(cv2.GaussianBlur(reference_frame(), (9, 9), 0), np.uint8)
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    luma, chroma = planes(to_i420(pixels)[0].numpy())
    expected_luma, expected_chroma = planes(i420(picture))
    assert np.abs(luma - expected_luma).max() <= 1
    # OpenCV takes one pixel of four for chroma, we the mean.
    assert np.abs(chroma - expected_chroma).mean() < 2


def test_a_pasted_box_replaces_its_pixels_and_no_others() -> None:
    yuv = np.full((12, 16), 50, np.uint8)
    box = Box(4, 2, 6, 4)
    part = np.full((6, 6), 200, np.uint8)
    part[4:] = 90
    result = paste(yuv, box, part)
    luma, chroma = planes(result)
    assert (luma[2:6, 4:10] == 200).all()
    assert (chroma[:, 1:3, 2:5] == 90).all()
    assert (result == 200).sum() == 24
    assert (result == 90).sum() == 12
    assert (yuv == 50).all()
