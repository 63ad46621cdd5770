"""Makes a presenter: `python -m studio.build mina`. See README.md."""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path

from studio.about import about
from studio.characters import CHARACTERS
from studio.figure import Figure
from studio.kit import kit_folder
from studio.motion import IDLES
from studio.paint import paint

HERE = Path(__file__).parent
EDGE_SAMPLES, TRUTH_SAMPLES = 128, 256
"""At most so many samples a pixel of an edge; and where edges are compared with it."""
PRESENTERS = HERE.parent / "src" / "ditto_avatar" / "presenters"


DRAWN = ("frames", "alpha", "truth")
STAGES = (*DRAWN, "pack", "cutout", "sheets")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=sorted(CHARACTERS))
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--samples", type=int, default=64, help="samples a pixel")
    parser.add_argument("--stage", choices=("all", *STAGES), default="all")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="where pictures are kept")
    parser.add_argument("--presenters", type=Path, default=PRESENTERS, help="where packs go")
    parser.add_argument("--part", default="0/1", help="draw every n-th picture from k on: k/n")
    parser.add_argument("--scale", type=float, default=1.0, help="smaller frames for a draft")
    parser.add_argument("--frames", type=int, help="a shorter loop for a draft")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    first, of = (int(word) for word in given.part.split("/"))
    for name in given.names:
        idle = IDLES[name]
        if given.frames:
            idle = replace(idle, frames=given.frames)
        figure = Figure(CHARACTERS[name], kit_folder(), painter=paint)
        pictures = given.out / name
        if given.stage in ("all", *DRAWN):
            # Blender is needed only where something is drawn.
            from studio import frames
            from studio.scene import Quality

            drawn = {
                "frames": (frames.pictures, Quality(given.samples, given.device)),
                "alpha": (frames.edges, Quality(EDGE_SAMPLES, given.device, shaded=False)),
                "truth": (frames.truths, Quality(TRUTH_SAMPLES, given.device, False, seed=1_000)),
            }
            for stage in ("frames", "alpha") if given.stage == "all" else (given.stage,):
                jobs, quality = drawn[stage]
                frames.draw(
                    figure, jobs(idle, pictures), pictures, quality, given.scale, (first, of)
                )
        if given.stage in ("all", "pack"):
            from studio.pack import build_pack

            build_pack(figure, idle, pictures, given.presenters / name, about(name))
        if given.stage in ("all", "cutout"):
            from studio.cutout import add_cutout

            add_cutout(figure.character, pictures, given.presenters / name)
        if given.stage in ("all", "sheets"):
            from studio.sheets import write_sheets

            write_sheets(given.presenters / name, given.out)


if __name__ == "__main__":
    main()
