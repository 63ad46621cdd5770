"""Contact sheets of faces made from photos or films, to be looked at (no figures).

    python -m bench.own_face_sheets PHOTO_OR_FILM_OR_PACK … [--out DIR]

For each face: `NAME_source.png` is the photo as it was taken up, `NAME_en.png` and `NAME_ko.png`
show a whole sentence at full size, `NAME_mouth_en.png` and `NAME_mouth_ko.png` its mouth enlarged
in every frame, `NAME_idle.png` a blink and glances. A film is shown by its first picture.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from bench.own_face import TERMS, rgb
from bench.quality import acted, spoken
from ditto_avatar.errors import InvalidImage
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.engine import PuppetEngine
from ditto_avatar.face.register.guarded import register_face
from ditto_avatar.types import ByteArray, FloatArray, Language

SENTENCES = (
    ("en", "Good morning! My papa bought five beautiful flowers for you.", Language.ENGLISH,
     "en-us"),
    ("ko", "안녕하세요, 오늘 우리 엄마와 아빠를 만나 보세요.", Language.KOREAN, "ko"),
)  # fmt: skip
ACROSS, SHOWN = 4, 12
MOUTHS_ACROSS, MOUTH_PX = 10, 190
IDLE_ACROSS, EYES_PX = 6, 300


def sheet(pictures: Sequence[ByteArray], across: int) -> ByteArray:
    """The pictures (h, w, 3), all of one size, `across` in a row."""
    blank = [np.zeros_like(pictures[0])] * (-len(pictures) % across)
    full = [*pictures, *blank]
    rows = [np.hstack(full[at : at + across]) for at in range(0, len(full), across)]
    return np.asarray(np.vstack(rows), np.uint8)


def cut(picture: ByteArray, middle: FloatArray, size: tuple[float, float], wide: int) -> ByteArray:
    """What is around `middle` (2,), `size` px wide and high, drawn `wide` px wide."""
    scale = wide / size[0]
    shift_x, shift_y = wide / 2 - scale * middle[0], scale * (size[1] / 2 - middle[1])
    matrix = np.array([[scale, 0, shift_x], [0, scale, shift_y]])
    made = cv2.warpAffine(picture, matrix, (wide, round(scale * size[1])), flags=cv2.INTER_CUBIC)
    return np.asarray(made, np.uint8)


def save(path: Path, picture: ByteArray) -> None:
    cv2.imwrite(str(path), picture[..., ::-1])


async def speaking(avatar: Avatar, out: Path) -> None:
    """Whole pictures, and the mouth in every frame."""
    engine = PuppetEngine()
    try:
        for key, text, language, voice in SENTENCES:
            sound = await spoken(text, language, voice, 165)
            pictures = [rgb(p) for p in await acted(engine, avatar, sound, 0, phonetic=True)]
            chosen = np.linspace(3, len(pictures) - 4, SHOWN).round().astype(int)
            save(out / f"{avatar.name}_{key}.png", sheet([pictures[i] for i in chosen], ACROSS))
            lips = avatar.arrays.landmarks[:, list(lm.OUTER_LIPS), :2]
            wide = 1.7 * float(np.ptp(lips[0, :, 0]))
            mouths = [
                cut(picture, lips[i % len(lips)].mean(0), (wide, wide), MOUTH_PX)
                for i, picture in enumerate(pictures)
            ]
            save(out / f"{avatar.name}_mouth_{key}.png", sheet(mouths, MOUTHS_ACROSS))
    finally:
        await engine.close()


def resting(avatar: Avatar, out: Path) -> None:
    """The eyes in a blink, frame by frame, and spread over the loop."""
    closure = avatar.arrays.eye_closure
    assert closure is not None
    most = int(closure.max(axis=1).argmax())
    blink = [(most + i) % avatar.frame_count for i in range(-4, 8)]
    spread = np.linspace(0, avatar.frame_count - 1, 12).round().astype(int)
    points = avatar.arrays.landmarks[..., :2]
    corners = points[0, [lm.LEFT_EYE_OUTER, lm.RIGHT_EYE_OUTER]]
    wide = 1.5 * float(np.linalg.norm(corners[0] - corners[1]))
    eyes = [
        cut(rgb(avatar.idle_frames[i]), points[i, 168], (wide, 0.5 * wide), EYES_PX)
        for i in (*blink, *spread)
    ]
    save(out / f"{avatar.name}_idle.png", sheet(eyes, IDLE_ACROSS))


async def draw(path: Path, out: Path) -> None:
    """Draw the sheets of one face; say so where it is refused."""
    if await asyncio.to_thread(path.is_dir):
        avatar = load_avatar(path)
    else:
        pack = out / "packs" / path.stem.lower()
        shutil.rmtree(pack, ignore_errors=True)
        try:
            avatar = await register_face(path, pack, TERMS)
        except InvalidImage as error:
            typer.echo(f"{path.name}: {error}")
            return
    shutil.copy(avatar.folder / "poster.webp", out / f"{avatar.name}_source.webp")
    resting(avatar, out)
    await speaking(avatar, out)
    typer.echo(f"{path.name}: {avatar.width}x{avatar.height}, {avatar.frame_count} frames")


def run(
    faces: Annotated[list[Path], typer.Argument(help="Photos, films or packs.")],
    out: Annotated[Path, typer.Option(help="Where the sheets go.")] = Path("sheets"),
) -> None:
    """Draw the sheets of every face."""
    out.mkdir(parents=True, exist_ok=True)
    for path in faces:
        asyncio.run(draw(path, out))


def main() -> None:
    """Run it."""
    typer.run(run)


if __name__ == "__main__":
    main()
