"""What is behind the presenter: an office out of focus, painted, not photographed."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from studio.camera import HEIGHT, WIDTH

Picture = npt.NDArray[np.float32]

_PALETTES = {
    "morning": ((196, 199, 198), (146, 152, 155), (255, 244, 226), (110, 118, 112)),
    "evening": ((112, 124, 142), (58, 68, 84), (255, 214, 160), (60, 66, 76)),
    "studio": ((190, 178, 166), (128, 116, 108), (255, 236, 210), (104, 92, 84)),
}


def paint(kind: str, seed: int, scale: float = 1.0) -> npt.NDArray[np.uint8]:
    """The backdrop (h, w, 3), RGB. Raises KeyError for an unknown kind."""
    light, dark, lamp, furniture = (np.array(c, np.float32) for c in _PALETTES[kind])
    draw = np.random.default_rng(seed)
    down = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None, None]
    across = np.linspace(0, 1, WIDTH, dtype=np.float32)[None, :, None]
    wall = light * (1 - 0.75 * down) + dark * 0.75 * down
    wall = wall * (1.06 - 0.3 * across)
    _window(wall, lamp, draw)
    _shelves(wall, furniture, dark, draw)
    wall = cv2.GaussianBlur(wall, (0, 0), 17)
    _bokeh(wall, lamp, draw)
    wall = cv2.GaussianBlur(wall, (0, 0), 5)
    middle = np.hypot(across - 0.5, (down - 0.42) * 1.1)
    wall = wall * (1.08 - 0.38 * middle)
    # A little dither keeps the gradient from banding in eight bits.
    wall += draw.uniform(-0.7, 0.7, wall.shape).astype(np.float32)
    if scale != 1.0:
        wall = cv2.resize(wall, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(wall, 0, 255).round(), np.uint8)


def _window(wall: Picture, lamp: Picture, draw: np.random.Generator) -> None:
    """Panes of daylight on the left."""
    for pane in range(3):
        left = int(-30 + pane * 62 + draw.uniform(-4, 4))
        cv2.rectangle(wall, (left, 40), (left + 50, 390), tuple(map(float, lamp)), -1)


def _shelves(wall: Picture, wood: Picture, dark: Picture, draw: np.random.Generator) -> None:
    """Shelves with things on them on the right, a plant's shadow below."""
    for row in range(4):
        y = 130 + 92 * row
        cv2.rectangle(wall, (392, y), (WIDTH, y + 9), tuple(map(float, wood * 0.8)), -1)
        x = 400.0
        while x < WIDTH:
            width, height = draw.uniform(8, 24), draw.uniform(28, 62)
            colour = wood * draw.uniform(0.7, 1.3) + draw.uniform(-16, 16, 3).astype(np.float32)
            place = (int(x), int(y - height)), (int(x + width), y)
            cv2.rectangle(wall, *place, tuple(map(float, colour)), -1)
            x += width + draw.uniform(1, 16)
    cv2.rectangle(wall, (0, 470), (WIDTH, HEIGHT), tuple(map(float, dark * 0.92)), -1)


def _bokeh(wall: Picture, lamp: Picture, draw: np.random.Generator) -> None:
    """Round highlights of far lamps."""
    for _ in range(9):
        glow = np.zeros_like(wall)
        place = (int(draw.uniform(0, WIDTH)), int(draw.uniform(30, 300)))
        cv2.circle(glow, place, int(draw.uniform(12, 26)), tuple(map(float, lamp)), -1, cv2.LINE_AA)
        wall += 0.09 * float(draw.uniform(0.5, 1.2)) * cv2.GaussianBlur(glow, (0, 0), 2)
