"""Checks the landmark table by numbers: MediaPipe against the projected points, every presenter in
a dozen poses and expressions.

    <studio python> -m studio.check_landmarks --pictures checks --render
    <mediapipe python> studio/detect.py --out checks/points.npz checks/*.png
    <studio python> -m studio.check_landmarks --pictures checks --points checks/points.npz
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np

from studio import topology
from studio.arkit import Expression, weights
from studio.characters import CHARACTERS
from studio.figure import Figure, Pose
from studio.kit import kit_folder
from studio.paint import paint
from studio.project import Projector, camera_of

logger = logging.getLogger(__name__)

CHECKS: dict[str, tuple[Expression, tuple[float, float, float]]] = {
    "neutral": ({}, (0, 0, 0)),
    "left": ({}, (0, 15, 0)),
    "right": ({}, (0, -15, 0)),
    "down": ({}, (10, 0, 0)),
    "up": ({}, (-8, 0, 0)),
    "tilted": ({}, (0, 0, 10)),
    "jaw": ({"jawOpen": 0.3}, (0, 0, 0)),
    "wide_open": ({"jawOpen": 0.7}, (0, 5, 0)),
    "smile": ({"mouthSmile": 0.5}, (0, 0, 0)),
    "pucker": ({"mouthPucker": 0.8}, (0, 0, 0)),
    "funnel": ({"mouthFunnel": 0.6, "jawOpen": 0.15}, (0, -5, 0)),
    "blink": ({"eyeBlink": 1.0}, (0, 0, 0)),
    "gaze": ({"eyeLookOutLeft": 0.8, "eyeLookInRight": 0.8}, (0, 0, 0)),
    "brows": ({"browInnerUp": 0.8, "browOuterUp": 0.8}, (3, 0, 0)),
}


def pose_of(check: str) -> Pose:
    """The pose of a check."""
    expression, rotation = CHECKS[check]
    return Pose(tuple(weights(expression)), rotation)


def render(folder: Path, device: str, samples: int) -> None:
    """Draw what is missing (needs bpy)."""
    from studio.scene import Quality, Scene

    folder.mkdir(parents=True, exist_ok=True)
    for character in CHARACTERS.values():
        figure = Figure(character, kit_folder(), painter=paint)
        scene = Scene(figure, camera_of(figure), Quality(samples, device))
        for check in CHECKS:
            path = folder / f"{character.name}-{check}.png"
            if not path.exists():
                scene.pose(pose_of(check))
                scene.render(path)


def compare(folder: Path, points: Path) -> dict[str, dict[str, float]]:
    """Mean error in percent of the distance between the outer corners of the eyes, per presenter
    and check."""
    names = sorted(path.stem for path in folder.glob("*.png"))
    with np.load(points) as stored:
        found = dict(zip(names, stored["points"], strict=True))
    errors: dict[str, dict[str, float]] = {}
    for character in CHARACTERS.values():
        projector = Projector(Figure(character, kit_folder()))
        row: dict[str, float] = {}
        for check in CHECKS:
            theirs = found[f"{character.name}-{check}"][:, :2]
            ours = projector.points(pose_of(check))[:, :2]
            right, left = topology.EYE_OUTER_CORNERS
            unit = np.linalg.norm(ours[right] - ours[left])
            row[check] = float(np.linalg.norm(ours - theirs, axis=1).mean() / unit * 100)
        row["mean"] = float(np.mean(list(row.values())))
        errors[character.name] = {key: round(value, 2) for key, value in row.items()}
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--render", action="store_true")
    parser.add_argument("--points", type=Path)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--samples", type=int, default=32)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if given.render:
        render(given.pictures, given.device, given.samples)
    if given.points:
        logger.info("%s", json.dumps(compare(given.pictures, given.points), indent=2))


if __name__ == "__main__":
    main()
