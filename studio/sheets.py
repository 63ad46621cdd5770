"""Contact sheets of a finished pack, for looking at: loop, atlas, seam, landmarks."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from studio import topology

Picture = npt.NDArray[np.uint8]


def read_video(path: Path) -> list[Picture]:
    """Every frame (h, w, 3), BGR."""
    with av.open(str(path)) as container:
        return [
            np.asarray(
                cv2.cvtColor(frame.to_ndarray(format="yuv420p"), cv2.COLOR_YUV2BGR_I420), np.uint8
            )
            for frame in container.decode(video=0)
        ]


def write_sheets(folder: Path, out: Path) -> None:
    """Write `<name>_loop.png`, `_atlas.png`, `_seam.png` and `_points.png` into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    frames = read_video(folder / "idle.mp4")
    with np.load(folder / "avatar.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    name = folder.name
    chosen = np.linspace(0, len(frames) - 1, 12).round().astype(int)
    _save(out / f"{name}_loop.png", _grid([frames[index] for index in chosen], 4))
    strip = np.asarray(cv2.imread(str(folder / "mouth.webp")), np.uint8)
    patches = np.split(strip, len(arrays["atlas_names"]))
    labelled = [
        _labelled(patch, label) for patch, label in zip(patches, arrays["atlas_names"], strict=True)
    ]
    _save(out / f"{name}_atlas.png", _grid(labelled, 5))
    seam = np.asarray(cv2.absdiff(frames[-1], frames[0]), np.uint8)
    beside = np.asarray(cv2.absdiff(frames[0], frames[1]), np.uint8)
    _save(out / f"{name}_seam.png", _grid([_gained(seam), _gained(beside)], 2))
    shown = [int(arrays["eye_closure"].max(1).argmax()), 0, len(frames) // 3, 2 * len(frames) // 3]
    marked = [_marked(frames[i], arrays["landmarks"][i], arrays["visibility"][i]) for i in shown]
    _save(out / f"{name}_points.png", _grid(marked, 2))
    scale = patches[0].shape[1] / arrays["atlas_box"][2]
    dotted = []
    for patch, points in zip(patches, arrays["atlas_landmarks"], strict=True):
        place = (points[:, :2] - arrays["atlas_box"][:2]) * scale
        dotted.append(_mouth_marked(patch, place))
    _save(out / f"{name}_atlas_points.png", _grid(dotted, 5))


def _save(path: Path, picture: Picture) -> None:
    cv2.imwrite(str(path), picture)


def _grid(pictures: list[Picture], columns: int) -> Picture:
    blank = np.zeros_like(pictures[0])
    filled = pictures + [blank] * (-len(pictures) % columns)
    rows = [np.hstack(filled[k : k + columns]) for k in range(0, len(filled), columns)]
    return np.asarray(np.vstack(rows))


def _labelled(picture: Picture, text: str) -> Picture:
    marked = picture.copy()
    cv2.putText(marked, str(text), (5, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
    return marked


def _gained(difference: Picture) -> Picture:
    return np.asarray(np.clip(difference.astype(int) * 12, 0, 255), np.uint8)


def _marked(
    picture: Picture, points: npt.NDArray[np.float32], seen: npt.NDArray[np.bool_]
) -> Picture:
    large = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    for (x, y, _), visible in zip(points, seen, strict=True):
        colour = (0, 255, 0) if visible else (0, 0, 255)
        cv2.circle(large, (round(x * 2), round(y * 2)), 1, colour, -1, cv2.LINE_AA)
    return np.asarray(large)


def _mouth_marked(patch: Picture, place: npt.NDArray[np.float32]) -> Picture:
    marked = patch.copy()
    for index in topology.LIPS_INNER:
        x, y = place[index]
        cv2.circle(marked, (round(float(x)), round(float(y))), 1, (255, 0, 255), -1)
    for index in (*topology.LIPS_OUTER_UPPER, *topology.LIPS_OUTER_LOWER):
        x, y = place[index]
        cv2.circle(marked, (round(float(x)), round(float(y))), 1, (0, 255, 0), -1)
    return marked
