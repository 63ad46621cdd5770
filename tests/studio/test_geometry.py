"""Subdivision, camera and raster: the geometry under every number of a pack."""

from __future__ import annotations

import numpy as np

from studio.camera import HEIGHT, WIDTH, Camera
from studio.kit import Indices, Points
from studio.raster import barycentric, rasterise, triangles
from studio.subdivision import Refined

CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
CUBE_FACES = np.array(
    [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
)


def grid(size: int) -> tuple[Points, Indices]:
    rows, columns = np.mgrid[0:size, 0:size]
    points = np.stack([columns.ravel(), rows.ravel(), np.zeros(size * size)], 1).astype(float)
    corner = (rows[:-1, :-1] * size + columns[:-1, :-1]).ravel()
    return points, np.stack([corner, corner + 1, corner + size + 1, corner + size], 1)


def test_a_refined_cube_has_the_counts_and_the_corner_of_catmull_and_clark() -> None:
    refined = Refined(CUBE_FACES, np.zeros((6, 4, 2)), 1)
    points = refined.refine(CUBE)
    assert len(refined.faces) == 24
    assert len(points) == 8 + 12 + 6
    # (F + 2 R + (n - 3) P) / n for a corner of the cube: n = 3, F = 1/3, R = 2/3 of the corner.
    np.testing.assert_allclose(np.abs(points[:8]), 5 / 9)


def test_refining_moves_with_the_mesh() -> None:
    refined = Refined(CUBE_FACES, np.zeros((6, 4, 2)), 2)
    np.testing.assert_allclose(refined.refine(CUBE + 3.5), refined.refine(CUBE) + 3.5)


def test_a_flat_grid_keeps_its_border_and_stays_flat() -> None:
    points, faces = grid(5)
    refined = Refined(faces, np.zeros((len(faces), 4, 2)), 1)
    fine = refined.refine(points)
    assert np.abs(fine[:, 2]).max() == 0
    on_edge = np.isclose(fine[:, 0], 0)
    assert on_edge.sum() == 9 - 2  # the two outer corners are rounded off, as B-splines are
    np.testing.assert_allclose(fine[:, 0].max(), 4)


def test_texture_coordinates_are_split_evenly() -> None:
    square = np.array([[[0, 0], [1, 0], [1, 1], [0, 1]]], float)
    refined = Refined(np.array([[0, 1, 2, 3]]), square, 1)
    np.testing.assert_allclose(refined.corner_uvs.mean((0, 1)), 0.5)
    first = np.array([[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]])
    np.testing.assert_allclose(refined.corner_uvs[0], first)


def test_the_focus_lies_where_the_camera_says() -> None:
    camera = Camera(eye_y=7.0, centre_y=6.5, focus_z=1.0, distance=10.0, span=4.0)
    x, y, z = camera.project(np.array([[0.0, 6.5, 1.0]]))[0]
    np.testing.assert_allclose([x, y, z], [WIDTH / 2, HEIGHT / 2, 0], atol=1e-9)


def test_the_span_fills_the_height_and_left_is_right() -> None:
    camera = Camera(eye_y=7.0, centre_y=7.0, focus_z=1.0, distance=10.0, span=4.0)
    top, side = camera.project(np.array([[0.0, 9.0, 1.0], [0.5, 7.0, 1.0]]))
    np.testing.assert_allclose(top[1], 0, atol=1e-9)
    assert side[0] > WIDTH / 2  # the person's left is the picture's right


def test_nearer_points_have_less_depth() -> None:
    camera = Camera(eye_y=7.0, centre_y=7.0, focus_z=1.0)
    near, far = camera.project(np.array([[0.0, 7.0, 1.5], [0.0, 7.0, 0.5]]))
    assert near[2] < 0 < far[2]


def test_what_is_nearer_covers_what_is_behind() -> None:
    square = np.array([[2, 2], [18, 2], [18, 18], [2, 18]], float)
    vertices = np.concatenate(
        [np.c_[square, np.full(4, 5.0)], np.c_[square / 2 + 5, np.full(4, 1.0)]]
    )
    tris = triangles(np.array([[0, 1, 2, 3], [4, 5, 6, 7]]))
    raster = rasterise(vertices, tris, (20, 20), 2.0)
    depth = raster.depth_at(np.array([[10.0, 10.0], [4.0, 4.0], [19.5, 0.5]]))
    np.testing.assert_allclose(depth, [1.0, 5.0, np.inf])


def test_barycentric_shares_find_the_point_again() -> None:
    corners = np.array([[[0, 0], [4, 0], [0, 4]]], float)
    shares = barycentric(corners, np.array([[1.0, 2.0]]))
    np.testing.assert_allclose((corners[0] * shares[0][:, None]).sum(0), [1, 2])
    np.testing.assert_allclose(shares.sum(), 1)
