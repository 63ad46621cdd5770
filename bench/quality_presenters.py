"""What can be counted about the bundled presenters: seam, sharpness, size, landmark error.

    python -m bench.quality_presenters [--mediapipe PYTHON]

`PYTHON` is an interpreter with MediaPipe 0.10.21 in an environment of its own; without it the
landmark error is left out. Writes `bench/results/presenters.json`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
PRESENTERS = ROOT / "src" / "ditto_avatar" / "presenters"
RESULTS = ROOT / "bench" / "results" / "presenters.json"
OUTER_CORNERS = (33, 263)
DETECT = ROOT / "studio" / "detect.py"

Frames = npt.NDArray[np.uint8]


def read_luma(path: Path) -> Frames:
    """The luma planes (n, h, w) of a video."""
    with av.open(str(path)) as container:
        planes = [
            frame.to_ndarray(format="yuv420p")[: frame.height]
            for frame in container.decode(video=0)
        ]
    return np.stack(planes)


def seam_ratio(luma: Frames) -> float:
    """Mean absolute difference between the last and the first frame, over the median of all
    neighbouring frames: 1 is a loop without a seam."""
    frames = luma.astype(np.int16)
    steps = [float(np.abs(b - a).mean()) for a, b in itertools.pairwise(frames)]
    return float(np.abs(frames[0] - frames[-1]).mean() / np.median(steps))


def sharpness(luma: Frames, points: npt.NDArray[np.float32]) -> float:
    """Variance of the Laplacian over the face in the first frame."""
    x0, y0 = np.floor(points[0, :, :2].min(0)).astype(int)
    x1, y1 = np.ceil(points[0, :, :2].max(0)).astype(int)
    return float(cv2.Laplacian(luma[0, y0:y1, x0:x1], cv2.CV_64F).var())


def flicker(luma: Frames) -> float:
    """Mean absolute second difference over time in the still backdrop's upper corners, in grey
    levels: what shimmers although nothing moves there."""
    corner = luma[:, :80, :80].astype(np.int16)
    return float(np.abs(corner[2:] - 2 * corner[1:-1] + corner[:-2]).mean())


def landmark_error(
    video: Path, points: npt.NDArray[np.float32], python: Path, every: int = 10
) -> dict[str, float]:
    """Distance to MediaPipe's points in every tenth frame, in percent of the distance between the
    outer corners of the eyes; frames in which the lids are shut are left in."""
    chosen = range(0, len(points), every)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        names = _write_frames(video, place, set(chosen))
        out = place / "points.npz"
        subprocess.run(
            [str(python), str(DETECT), "--out", str(out), *names], check=True, capture_output=True
        )
        with np.load(out) as stored:
            found = stored["points"]
    known = ~np.isnan(found[:, 0, 0])
    ours = points[list(chosen)][known][..., :2]
    theirs = found[known][..., :2]
    unit = np.linalg.norm(ours[:, OUTER_CORNERS[0]] - ours[:, OUTER_CORNERS[1]], axis=1)
    error = np.linalg.norm(ours - theirs, axis=2) / unit[:, None] * 100
    return {
        "frames": int(known.sum()),
        "frames_without_a_face": int((~known).sum()),
        "mean_percent": round(float(error.mean()), 3),
        "p95_percent": round(float(np.percentile(error, 95)), 3),
        "mouth_mean_percent": round(float(error[:, _MOUTH].mean()), 3),
        "iris_mean_percent": round(float(error[:, 468:].mean()), 3),
    }


# fmt: off
_MOUTH = [
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 146, 91, 181, 84, 17, 314, 405, 321, 375,
    78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 95, 88, 178, 87, 14, 317, 402, 318, 324,
]
# fmt: on


def _write_frames(video: Path, folder: Path, chosen: set[int]) -> list[str]:
    names = []
    with av.open(str(video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in chosen:
                name = folder / f"{index:04d}.png"
                planes = frame.to_ndarray(format="yuv420p")
                cv2.imwrite(str(name), cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420))
                names.append(str(name))
    return names


def measure(folder: Path, mediapipe: Path | None) -> dict[str, Any]:
    """All figures of one presenter."""
    luma = read_luma(folder / "idle.mp4")
    with np.load(folder / "avatar.npz") as arrays:
        points = arrays["landmarks"]
        patches = len(arrays["atlas_names"]) if "atlas_names" in arrays else 0
    row: dict[str, Any] = {
        "frames": len(luma),
        "size": [luma.shape[2], luma.shape[1]],
        "seam_ratio": round(seam_ratio(luma), 3),
        "sharpness": round(sharpness(luma, points), 1),
        "backdrop_flicker": round(flicker(luma), 4),
        "atlas_patches": patches,
        "megabytes": round(sum(f.stat().st_size for f in folder.iterdir()) / 1e6, 3),
    }
    if mediapipe is not None:
        row["landmarks"] = landmark_error(folder / "idle.mp4", points, mediapipe)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mediapipe", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    found = sorted(path.parent for path in PRESENTERS.glob("*/about.json"))
    result = {
        "commit": commit,
        "machine": platform.machine(),
        "presenters": {folder.name: measure(folder, given.mediapipe) for folder in found},
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
