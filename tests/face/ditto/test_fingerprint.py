"""What was drawn before must not be shown under other options or weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ditto_avatar.face.ditto.engine import DittoEngine
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.options import DittoOptions

from .standins import write_network_files


async def fingerprint(models: DittoModels, options: DittoOptions) -> str:
    engine = DittoEngine(models, options)
    try:
        return engine.fingerprint
    finally:
        await engine.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"sampling_timesteps": 7},
        {"max_size": 333},
        {"template_n_frames": 5},
        {"overlap": 47},
        {"preset": "quality", "sampling_timesteps": None},
        {"backend": "graphs"},
        {"seed": 9},
    ],
)
async def test_other_options_are_another_face(
    models: DittoModels, options: DittoOptions, changes: dict[str, Any]
) -> None:
    same = await fingerprint(models, options)
    assert await fingerprint(models, replace(options)) == same
    assert await fingerprint(models, replace(options, **changes)) != same


async def test_other_weights_are_another_face(
    models: DittoModels, options: DittoOptions, tmp_path: Path
) -> None:
    options = replace(options, checkpoints=write_network_files(tmp_path))
    before = await fingerprint(models, options)
    weights = next(tmp_path.rglob("decoder*"))
    weights.write_bytes(b"trained further")
    assert await fingerprint(models, options) != before
    assert await fingerprint(replace(models, key="other"), options) != before
