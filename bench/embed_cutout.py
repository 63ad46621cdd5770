"""What it costs to send presenters without their background, and how exact their edge is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.cutout import without_background
from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import find_avatars, load_avatar
from ditto_avatar.face.puppet.arkit import SHAPES
from ditto_avatar.face.puppet.motion import Pose
from ditto_avatar.face.puppet.renderer import FramePainter, Renderer
from ditto_avatar.media.encode import FragmentEncoder
from ditto_avatar.pipeline.encoding import picture_of
from ditto_avatar.types import SAMPLES_PER_FRAME, ByteArray, FloatArray, VideoFrame

ROUNDS, FRAMES = 12, 25
# Pixels around those that are neither opaque nor clear: the edge of the hair.
EDGE_PX = 2
_PICTURE = re.compile(r"truth_(\d{4})\.png")
_SILENCE = np.zeros(SAMPLES_PER_FRAME, np.float32)


def transparent_to_opaque() -> float:
    """Pictures a second of processor time, without the background against with it: drawn, packed
    and encoded. Both in turns, so that what else the machine does meets both."""
    avatar = load_avatar(BUNDLED / "mina")
    variant = without_background(avatar)
    assert variant is not None
    renderer = Renderer(avatar)
    kinds = [(shown, _encode_some(renderer, shown)) for shown in (avatar, variant)]
    spent = dict.fromkeys((avatar.name, variant.name), 0.0)
    for turn in range(ROUNDS + 1):
        for shown, some in kinds:
            began = time.process_time()
            some()
            # The first turn decodes the loop and fills what is kept.
            if turn:
                spent[shown.name] += time.process_time() - began
    return round(spent[avatar.name] / spent[variant.name], 3)


def _encode_some(renderer: Renderer, shown: Avatar) -> Callable[[], None]:
    encoder, painter = FragmentEncoder(*shown.coded_size), FramePainter(renderer, 0)
    poses = [_talking(index) for index in range(FRAMES)]

    def some() -> None:
        for index, pose in enumerate(poses):
            frame = VideoFrame(index, index, painter.draw(index, pose))
            encoder.encode(picture_of(frame, shown)(), _SILENCE)

    return some


def _talking(index: int) -> Pose:
    weights = np.zeros(len(SHAPES), np.float32)
    weights[SHAPES.index("jawOpen")] = 0.3 + 0.25 * np.sin(index)
    weights[SHAPES.index("mouthFunnel")] = 0.2 + 0.2 * np.cos(1.7 * index)
    return Pose(weights, np.zeros(3, np.float32))


def alpha_errors(pictures: Path) -> dict[str, float]:
    """Mean difference of 255 between the opacity in the bundled packs, as it is played, and that of
    the studio's `pictures` (a folder of ``truth_0000.png``… for each presenter): at the edge of
    hair and clothes, at the edge once more as it is sent while the presenter speaks, and over whole
    pictures."""
    errors = [found for folder in find_avatars(BUNDLED) for found in _errors_of(folder, pictures)]
    if not errors:
        raise SystemExit(f"There is no picture like mina/truth_0000.png in {pictures}.")
    edge, sent, anywhere = np.mean(errors, axis=0)
    return {
        "alpha_error_mean": round(float(edge), 2),
        "alpha_error_worst_picture": round(float(np.max(errors, axis=0)[0]), 2),
        "alpha_error_sent_mean": round(float(sent), 2),
        "alpha_error_whole_picture_mean": round(float(anywhere), 2),
        "alpha_pictures": len(errors),
    }


def _errors_of(folder: Path, pictures: Path) -> Iterator[tuple[float, float, float]]:
    avatar = load_avatar(folder)
    assert avatar.cutout_frames is not None
    for path in sorted((pictures / avatar.name).glob("truth_*.png")):
        found = _PICTURE.fullmatch(path.name)
        true = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if found is None or true is None:
            continue
        packed = avatar.cutout_frames[int(found[1])]
        mixed = (true[..., 3] > 5) & (true[..., 3] < 250)
        disc = np.ones((2 * EDGE_PX + 1, 2 * EDGE_PX + 1), np.uint8)
        edge = cv2.dilate(mixed.astype(np.uint8), disc) > 0
        played, sent = (
            np.abs(_opacity(picture) - true[..., 3]) for picture in (packed, _sent(packed))
        )
        yield played[edge].mean(), sent[edge].mean(), played.mean()


def _opacity(packed: ByteArray) -> FloatArray:
    both = cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420)
    return np.asarray(both[len(both) // 2 :, :, 0], np.float32)


def _sent(packed: ByteArray) -> ByteArray:
    """The picture after the encoder of segments and a decoder."""
    encoder = FragmentEncoder(packed.shape[1], packed.shape[0] * 2 // 3)
    encoder.encode(packed, _SILENCE)
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    seen = [*decoder.decode(av.Packet(encoder.newest.data)), *decoder.decode(None)]
    encoder.abandon()
    return np.asarray(seen[0].to_ndarray(format="yuv420p"), np.uint8)
