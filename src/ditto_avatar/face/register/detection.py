"""Read BlazeFace's answers (Bazarevsky et al., arXiv 1907.05047): where faces are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ditto_avatar.types import FloatArray

DETECTOR_SIZE = 128
SCORE = 0.5
# Overlap from which two boxes are one face.
SAME_FACE = 0.3


@dataclass(frozen=True, slots=True)
class Detection:
    """A face: left, top, right, bottom, the eyes' centres (2, 2), all in pixels, and how sure."""

    box: tuple[float, float, float, float]
    eyes: FloatArray
    score: float

    @property
    def width(self) -> float:
        return self.box[2] - self.box[0]

    @property
    def area(self) -> float:
        return max(self.width, 0) * max(self.box[3] - self.box[1], 0)

    def moved(self, x: float, y: float) -> Detection:
        """Return the same face in a picture whose origin lies at (-x, -y)."""
        left, top, right, bottom = self.box
        eyes = np.asarray(self.eyes + np.array([x, y]), np.float32)
        return Detection((left + x, top + y, right + x, bottom + y), eyes, self.score)


def anchors() -> FloatArray:
    """Return centres (896, 2) in 0..1: two for each of 16×16 cells, six for each of 8×8."""
    parts = []
    for cells, each in ((16, 2), (8, 6)):
        places = (np.arange(cells) + 0.5) / cells
        rows, columns = np.meshgrid(places, places, indexing="ij")
        centres = np.stack([columns, rows], axis=-1).reshape(-1, 2)
        parts.append(np.repeat(centres, each, axis=0))
    return np.concatenate(parts).astype(np.float32)


def read_detections(
    numbers: FloatArray, logits: FloatArray, places: FloatArray, side: int
) -> list[Detection]:
    """Return the faces in a square of `side` pixels, the surest first, those of one face averaged
    by their scores. `numbers` (896, 16) and `logits` (896,) are the network's, `places` its
    `anchors`."""
    scores = np.asarray(1 / (1 + np.exp(-np.clip(logits, -50, 100))), np.float32)
    sure = scores >= SCORE
    numbers = numbers[sure] / np.float32(DETECTOR_SIZE)
    scores, places = scores[sure], places[sure]
    centre, half = numbers[:, :2] + places, numbers[:, 2:4] / 2
    eyes = numbers[:, 4:8] + np.tile(places, 2)
    rows = np.concatenate([centre - half, centre + half, eyes], axis=1) * side
    found = []
    left = np.argsort(-scores, kind="stable")
    while len(left):
        same = overlap(rows[left[0], :4], rows[left, :4]) > SAME_FACE
        same[0] = True
        group, left = left[same], left[~same]
        share = scores[group, None] / scores[group].sum()
        row = (rows[group] * share).sum(axis=0)
        box = (float(row[0]), float(row[1]), float(row[2]), float(row[3]))
        found.append(Detection(box, row[4:8].reshape(2, 2), float(scores[group].mean())))
    return found


def overlap(box: FloatArray, boxes: FloatArray) -> FloatArray:
    """Return intersection over union of one box with others (n, 4)."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    union = np.prod(box[2:] - box[:2]) + areas - common
    return np.asarray(common / np.maximum(union, 1e-9), np.float32)
