"""Builds the table that binds MediaPipe's 478 points to the head: `landmarks.npz`.

Plain renders of bald heads from several sides, shut and open mouths, are shown to MediaPipe;
each point it finds is carried back to the surface it lies on, brought to the average head, and
averaged. Points of the lips' inner edge and of the lids are moved to the edge that the camera
sees, for MediaPipe is blurred exactly where an edge matters most.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from studio import topology
from studio.arkit import INDEX, SHAPES, weights
from studio.camera import HEIGHT, WIDTH, Camera
from studio.characters import CHARACTERS, Character
from studio.figure import Figure, Pose
from studio.kit import Points, kit_folder
from studio.landmarks import FaceSurface, Landmarks
from studio.raster import Raster, barycentric, rasterise

SCALE = 4.0
TURNS = (-40, -20, 0, 20, 40)
AVERAGE_MACRO = {
    **{f"universal-{sex}-young-averagemuscle-averageweight": 0.5 for sex in ("female", "male")},
    **{
        f"{people}-{sex}-young": 1 / 6
        for people in ("asian", "african", "caucasian")
        for sex in ("female", "male")
    },
}


def average_character() -> Character:
    """The kit's average face: no details, no resting expression."""
    return replace(
        CHARACTERS["mina"], name="average", macro=AVERAGE_MACRO, detail={}, rest={},
        skin="young_lightskinned_male_diffuse.png",
    )


def plain_camera(turn: float) -> Camera:
    """A camera for the table's renders."""
    return Camera(7.25, 7.15, 0.8, span=3.0, turn=turn)


def views() -> list[tuple[int, str, dict[str, float]]]:
    """Camera turn, short name and expression of the plain renders."""
    jaw = [(turn, "j", {"jawOpen": 0.5}) for turn in TURNS if abs(turn) < 30]
    return [*((turn, "n", {}) for turn in TURNS), *jaw]


def render(folder: Path, device: str) -> None:
    """Draw the plain views (needs bpy); pictures on disk are kept."""
    from studio.scene import Quality, Scene

    folder.mkdir(parents=True, exist_ok=True)
    for character in people():
        figure = Figure(character, kit_folder())
        for turn in TURNS:
            wanted = [
                (folder / f"{character.name}_{angle}_{short}.png", expression)
                for angle, short, expression in views()
                if angle == turn
            ]
            missing = [job for job in wanted if not job[0].exists()]
            if not missing:
                continue
            scene = Scene(figure, plain_camera(turn), Quality(16, device))
            scene.hide("hair")
            for path, expression in missing:
                scene.pose(Pose(tuple(weights(expression))))
                scene.render(path)


def people() -> list[Character]:
    """The average and every presenter, none of them smiling."""
    return [
        average_character(), *(replace(person, rest={}) for person in CHARACTERS.values())
    ]


def _seen(figure: Figure, surface: FaceSurface, pose: Pose, camera: Camera) -> tuple[Raster, int]:
    """The head with its eyeballs as the camera sees it; and how many triangles are skin."""
    base = figure.expressed(pose.weights)
    skin = surface.points(base)
    eyes = figure.place(pose)["eyes"]
    vertices = np.concatenate([skin, eyes])
    shell = np.repeat(figure.cornea_faces(), 2)
    from studio.raster import triangles

    eye_tris = triangles(figure.meshes["eyes"].faces)[~shell]
    tris = np.concatenate([surface.tris, eye_tris + len(skin)])
    return (
        rasterise(camera.project(vertices), tris, (WIDTH, HEIGHT), SCALE), len(surface.tris)
    )


def _edge_snapped(raster: Raster, skin_tris: int, points: Points, lids: bool) -> Points:
    """Points (k, 2) moved to the nearest skin pixel that borders an eyeball (`lids`) or the dark
    of the open mouth, seen as a jump in depth."""
    height, width = raster.ids.shape
    rows, columns = np.mgrid[0:height, 0:width]
    ids = raster.ids
    skin = (ids >= 0) & (ids < skin_tris)
    if lids:
        other = ids >= skin_tris
    else:
        middle = raster.projected[raster.tris].mean(1)[:, 2]
        depth = np.where(ids >= 0, middle[np.maximum(ids, 0)], 1e3)
        near = depth < np.inf
        other = near & skin
        jump = np.zeros_like(skin)
        for axis in (0, 1):
            for step in (-3, 3):
                jump |= np.roll(depth, step, axis) - depth > 8.0
        border = skin & jump
        return _nearest(border, rows, columns, raster.scale, points)
    border = np.zeros_like(skin)
    for axis in (0, 1):
        for step in (-1, 1):
            border |= skin & np.roll(other, step, axis)
    return _nearest(border, rows, columns, raster.scale, points)


def _nearest(
    border: np.ndarray, rows: np.ndarray, columns: np.ndarray, scale: float, points: Points
) -> Points:
    place = np.stack([columns[border] + 0.5, rows[border] + 0.5], 1) / scale
    moved = points.copy()
    for index, point in enumerate(points):
        # Up and down counts double: along an edge MediaPipe's spacing is right.
        distance = np.hypot((place[:, 0] - point[0]) * 2.0, place[:, 1] - point[1])
        best = int(distance.argmin())
        if distance[best] < 14:
            moved[index] = place[best]
    return moved


def gather(pictures: Path, points: np.ndarray, names: list[str]) -> tuple[Points, Points]:
    """Every sighting of every point, brought to the average head: the weighted mean (478, 3) and
    the sum of weights (478,)."""
    average = Figure(average_character(), kit_folder())
    surface = FaceSurface(average.base)
    home = surface.points(average.neutral)
    sightings: list[tuple[Points, Points]] = []
    outside = surface.outside
    front = found_front(names, points)
    halves = np.sign(np.round(front[:, 0] - np.median(front[[1, 4, 152, 10], 0])) / 6)
    found = dict(zip(names, points, strict=True))
    inner = list(topology.LIPS_INNER)
    lids = [
        point
        for point in topology.RIGHT_LIDS + topology.LEFT_LIDS
        if point not in topology.EYE_CORNERS
    ]
    for character in people():
        figure = Figure(character, kit_folder())
        for turn, short, expression in views():
            name = f"{character.name}_{turn}_{short}.png"
            if name not in found:
                continue
            pose = Pose(tuple(weights(expression)))
            raster, skin_tris = _seen(figure, surface, pose, plain_camera(turn))
            pixels = found[name][:, :2].astype(float)
            if turn == 0:
                pixels[lids] = _edge_snapped(raster, skin_tris, pixels[lids], True)
            if short == "j":
                pixels[inner] = _edge_snapped(raster, skin_tris, pixels[inner], False)
            column = np.clip((pixels[:, 0] * SCALE).astype(int), 0, raster.ids.shape[1] - 1)
            row = np.clip((pixels[:, 1] * SCALE).astype(int), 0, raster.ids.shape[0] - 1)
            tri = raster.ids[row, column]
            hit = (tri >= 0) & (tri < skin_tris)
            hit &= outside[np.where(hit, tri, 0)]
            # What a turned head hides, MediaPipe guesses.
            hit &= halves * turn >= 0
            corners = raster.projected[raster.tris[np.maximum(tri, 0)]]
            share = barycentric(corners[..., :2], pixels)
            normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            facing = np.abs(normal[:, 2]) / np.maximum(np.linalg.norm(normal, axis=1), 1e-9)
            confidence = facing**3 * hit
            confidence[inner] *= short == "j"
            confidence[lids] *= turn == 0
            if short == "j":
                others = np.setdiff1d(np.arange(478), inner)
                confidence[others] = 0
            chosen = np.where(hit, tri, 0)
            at_home = (home[surface.tris[chosen]] * share[..., None]).sum(1)
            sightings.append((at_home, confidence))
    places = np.stack([place for place, _ in sightings])
    trust = np.stack([weight for _, weight in sightings])
    mean = robust_mean(places, trust)
    return symmetric(mean, mirror_pairs(front)), trust.sum(0)


def found_front(names: list[str], points: np.ndarray) -> Points:
    """MediaPipe's points on the average head seen from the front, mouth shut."""
    return np.asarray(points[names.index("average_0_n.png")], float)


def robust_mean(places: Points, trust: Points) -> Points:
    """Weighted mean (478, 3) of sightings (s, 478, 3), those far from the others left aside."""
    mean = np.zeros(places.shape[1:])
    weight = trust.copy()
    for _ in range(6):
        total = np.maximum(weight.sum(0), 1e-9)
        mean = (places * weight[..., None]).sum(0) / total[:, None]
        distance = np.linalg.norm(places - mean, axis=2)
        weight = trust / (1 + (distance / 0.03) ** 2)
    return mean


def mirror_pairs(front: Points) -> list[int]:
    """For each of the 468 points its partner on the other half of the face."""
    middle = np.median(front[[1, 4, 5, 10, 152, 0, 17], 0])
    mirrored = front[:468, :2] * [-1, 1] + [2 * middle, 0]
    # Depth tells apart what lies on top of each other in the picture.
    seen = np.concatenate([front[:468, :2], front[:468, 2:]], 1)
    other = np.concatenate([mirrored, front[:468, 2:]], 1)
    distance = np.linalg.norm(seen[:, None] - other[None], axis=2)
    return [int(index) for index in distance.argmin(1)]


def symmetric(mean: Points, pairs: list[int]) -> Points:
    """The kit's heads are symmetric, so both halves' sightings count for both."""
    even = mean.copy()
    for point, partner in enumerate(pairs):
        if pairs[partner] == point:
            even[point] = (mean[point] + mean[partner] * [-1, 1, 1]) / 2
    return even


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--render", action="store_true")
    parser.add_argument("--points", type=Path)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    given = parser.parse_args()
    if given.render:
        render(given.pictures, given.device)
        return
    names = sorted(path.name for path in given.pictures.glob("*.png"))
    mean, weight = gather(given.pictures, np.load(given.points)["points"], names)
    average = Figure(average_character(), kit_folder())
    table = Landmarks.nearest(FaceSurface(average.base), average.neutral, mean)
    table.save(Path(__file__).with_name("landmarks.npz"))
    write_basis(average, table)


def write_basis(average: Figure, table: Landmarks) -> None:
    """The average face's points and shapes, in units of the distance between the outer corners of
    the eyes, for packs that bring no shapes of their own: `basis.npz` of the puppet."""
    still = table.points(average, Pose(tuple([0.0] * len(SHAPES))))
    unit = np.linalg.norm(np.subtract(*still[list(topology.EYE_OUTER_CORNERS)]))
    # Picture axes: x right, y down, z away from the camera.
    axes = np.array([1.0, -1.0, -1.0]) / unit
    shapes = []
    for name in SHAPES:
        row = [0.0] * len(SHAPES)
        row[INDEX[name]] = 1.0
        shapes.append((table.points(average, Pose(tuple(row))) - still) * axes)
    target = Path(__file__).parents[1] / "src/ditto_avatar/face/puppet/basis.npz"
    np.savez_compressed(
        target,
        neutral=((still - still.mean(0)) * axes).astype(np.float32),
        blendshapes=np.array(shapes, np.float32),
    )


if __name__ == "__main__":
    main()
