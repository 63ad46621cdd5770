"""Where compiled kernels are kept between starts."""

from __future__ import annotations

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

# Neither library has another way to be told; both look when they compile.
_VARIABLES = {"TORCHINDUCTOR_CACHE_DIR": "inductor", "TRITON_CACHE_DIR": "triton"}


def compiler_settings() -> dict[str, str]:
    """The environment variables that change what is compiled."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("TORCHINDUCTOR_", "TORCH_COMPILE")) and name not in _VARIABLES
    }


def keep_kernels(folder: Path) -> None:
    """Let torch and Triton keep what they compile in `folder`, unless the environment names other
    folders. Where it cannot be written, they keep it where they do by themselves."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("Compiled kernels are not kept in %s: %s.", folder, error.strerror)
        return
    for variable, name in _VARIABLES.items():
        os.environ.setdefault(variable, str(folder / name))
