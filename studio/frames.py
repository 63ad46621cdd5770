"""Draws a presenter: every frame of the idle loop and every patch of the atlas, as PNGs with
alpha. Frames on disk are kept, so a stopped run goes on where it was."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from studio import atlas
from studio.figure import Figure, Pose
from studio.motion import Idle
from studio.project import camera_of, project_atlas
from studio.scene import Quality, Scene

logger = logging.getLogger(__name__)
EDGE_STEP = 2
"""Of so many frames one has its alpha drawn. An edge moves by a fifth of a pixel in between."""
TRUTH_STEP = 101


def mouth_box(figure: Figure, out: Path) -> tuple[float, float, float, float]:
    """Where the atlas lies in the neutral frame. The first answer is kept beside the pictures,
    for they are cut by it and must not be measured by another."""
    kept = out / "box.json"
    if not kept.exists():
        kept.write_text(json.dumps(project_atlas(figure).box))
    x, y, width, height = json.loads(kept.read_text())
    return x, y, width, height


Job = tuple[Path, Pose, bool]
"""What to write, the pose, and whether it is a patch of the atlas."""


def pictures(idle: Idle, out: Path) -> list[Job]:
    """The patches of the atlas and all frames of the loop."""
    patches = [(out / f"atlas_{name}.png", atlas.pose(name), True) for name in atlas.SHAPES]
    return [*patches, *_frames(idle, out, "idle", 1)]


def edges(idle: Idle, out: Path) -> list[Job]:
    """What the frames cover, of every second one."""
    return _frames(idle, out, "alpha", EDGE_STEP)


def truths(idle: Idle, out: Path) -> list[Job]:
    """What some frames cover, to be compared with."""
    return _frames(idle, out, "truth", TRUTH_STEP)


def _frames(idle: Idle, out: Path, kind: str, step: int) -> list[Job]:
    poses = list(enumerate(idle.poses()))[::step]
    return [(out / f"{kind}_{index:04d}.png", pose, False) for index, pose in poses]


def draw(
    figure: Figure,
    jobs: list[Job],
    out: Path,
    quality: Quality,
    scale: float = 1.0,
    part: tuple[int, int] = (0, 1),
) -> None:
    """Draw those `jobs` that are missing in `out`. `part` (k, n) leaves all but every n-th picture
    to others, so that several processes can share one machine."""
    out.mkdir(parents=True, exist_ok=True)
    mine = [job for number, job in enumerate(jobs) if number % part[1] == part[0]]
    missing = [job for job in mine if not job[0].exists()]
    logger.info("%s: %d pictures to draw", figure.character.name, len(missing))
    if not missing:
        return
    scene = Scene(figure, camera_of(figure), quality)
    mouth = mouth_box(figure, out) if quality.shaded else None
    for path, pose, is_patch in missing:
        scene.pose(pose)
        if is_patch:
            scene.render(path, atlas.SCALE, mouth)
        else:
            scene.render(path, scale)
