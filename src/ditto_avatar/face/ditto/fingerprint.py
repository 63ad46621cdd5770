"""What decides how a face is drawn, as one key."""

from __future__ import annotations

import hashlib

from ditto_avatar.face.ditto.checkpoint_files import FILES, place
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.options import DittoOptions


def fingerprint_of(models: DittoModels, options: DittoOptions, overlap: int, backend: str) -> str:
    """Return the key of a face: it changes with the options that change a picture, the weights, and
    the backend that is to draw. Blocks for a moment."""
    # Reading the weights once more takes seconds: size and time tell a file that was replaced.
    files = [place(options.checkpoints, name) for name in sorted(FILES)]
    stats = [path.stat() for path in files if path.is_file()]
    # What runs, not what was asked for: "auto" is another backend after an update or a fallback,
    # and each rounds in its own way.
    runners = models.runners
    values = (
        models.key,
        *((stat.st_size, stat.st_mtime_ns) for stat in stats),
        *(options.steps, options.longest_side, options.template_frames, overlap),
        *(options.seed, backend, runners.device.type, str(runners.dtype)),
    )
    return hashlib.sha256(repr(values).encode()).hexdigest()
