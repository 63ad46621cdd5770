"""Puts a presenter's pack together out of its pictures and its geometry."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from studio import atlas, backdrop
from studio.figure import Figure, rest_pose
from studio.kit import Points
from studio.motion import FRAME_RATE_HZ, Idle
from studio.project import Projector, project_atlas, project_shapes

Rgb = npt.NDArray[np.uint8]


def composed(path: Path, behind: Rgb) -> Rgb:
    """A picture with alpha laid over the backdrop (h, w, 3); enlarged if it was drawn smaller."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.shape[2] != 4:
        raise ValueError(f"{path} is no picture with alpha")
    size = (behind.shape[1], behind.shape[0])
    if (picture.shape[1], picture.shape[0]) != size:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    alpha = picture[..., 3:].astype(np.float32) / 255
    colour = picture[..., 2::-1].astype(np.float32)
    return np.asarray((colour * alpha + behind * (1 - alpha)).round(), np.uint8)


def write_video(path: Path, frames: list[Rgb], crf: float = 15.5) -> None:
    """H.264 in yuv420p, BT.601 limited range and tagged so, a keyframe every 25 frames.

    Keyframes get no more bits than the others: otherwise the picture pulses once a second, and
    most of all where the loop begins anew.
    """
    options = {
        "crf": str(crf),
        "preset": "slow",
        "bf": "0",
        "g": "25",
        "keyint_min": "25",
        "x264-params": "scenecut=0:ipratio=1.0:mbtree=0:no-dct-decimate=1:"
        "trellis=0:deadzone-inter=8:deadzone-intra=8:"
        "colorprim=smpte170m:transfer=smpte170m:colormatrix=smpte170m",
    }
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE_HZ, options=options)
        stream.width, stream.height = frames[0].shape[1], frames[0].shape[0]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.color_range = 1
        context.colorspace = context.color_primaries = context.color_trc = 6
        for index, rgb in enumerate(frames):
            # OpenCV's I420 is BT.601 in limited range, exactly what the tags say.
            planes = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts = index
            frame.time_base = Fraction(1, FRAME_RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def build_pack(figure: Figure, idle: Idle, pictures: Path, folder: Path, about: object) -> None:
    """Write the pack of `figure` into `folder` (docs/avatar-pack.md), whole or not at all."""
    finished, folder = folder, folder.with_name(f".{folder.name}.part")
    folder.mkdir(parents=True, exist_ok=True)
    behind = backdrop.paint(figure.character.backdrop, figure.character.seed)
    frames = [composed(pictures / f"idle_{index:04d}.png", behind) for index in range(idle.frames)]
    write_video(folder / "idle.mp4", frames)
    _write_webp(folder / "poster.webp", frames[0])
    _write_atlas(figure, pictures, folder / "mouth.webp")
    _write_arrays(figure, idle, pictures, folder / "avatar.npz")
    text = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
    (folder / "about.json").write_text(text, encoding="utf-8")
    shutil.rmtree(finished, ignore_errors=True)
    folder.rename(finished)


def kept_box(pictures: Path) -> tuple[float, float, float, float]:
    """The box by which the patches were cut: x, y, width, height in the neutral frame."""
    x, y, width, height = json.loads((pictures / "box.json").read_text())
    return x, y, width, height


def atlas_patches(figure: Figure, pictures: Path) -> list[Rgb]:
    """The patches of the atlas over the backdrop, in the order of `atlas.SHAPES`."""
    x, y, width, height = kept_box(pictures)
    scene = backdrop.paint(figure.character.backdrop, figure.character.seed)
    behind = scene[int(y) : int(y + height), int(x) : int(x + width)]
    size = (round(width * atlas.SCALE), round(height * atlas.SCALE))
    behind = np.asarray(cv2.resize(behind, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    return [composed(pictures / f"atlas_{name}.png", behind) for name in atlas.SHAPES]


def _write_atlas(figure: Figure, pictures: Path, path: Path) -> None:
    _write_webp(path, np.concatenate(atlas_patches(figure, pictures)))


def _write_webp(path: Path, rgb: Rgb) -> None:
    if not cv2.imwrite(str(path), rgb[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 95]):
        raise OSError(f"{path} could not be written")


def _rounded(pixels: Points) -> npt.NDArray[np.float32]:
    """To the 64th of a pixel, far below what anyone sees: it halves the file."""
    return np.asarray(np.round(pixels * 64) / 64, np.float32)


def _write_arrays(figure: Figure, idle: Idle, pictures: Path, path: Path) -> None:
    projector = Projector(figure)
    poses = idle.poses()
    points = np.stack([projector.points(pose) for pose in poses])
    seen = [projector.visible(pose, place) for pose, place in zip(poses, points, strict=True)]
    mouth = project_atlas(figure)
    closure = [[idle.closure(index / FRAME_RATE_HZ)] * 2 for index in range(idle.frames)]
    np.savez_compressed(
        path,
        landmarks=_rounded(points),
        visibility=np.stack(seen),
        head_rotation=np.array([pose.rotation for pose in poses], np.float32),
        neutral_landmarks=projector.points(rest_pose()).astype(np.float32),
        eye_closure=np.array(closure, np.float32),
        blendshapes=_rounded(project_shapes(projector)),
        atlas_names=np.array(mouth.names),
        atlas_weights=mouth.weights.astype(np.float32),
        atlas_landmarks=mouth.landmarks.astype(np.float32),
        atlas_box=np.array(kept_box(pictures), np.float32),
    )
