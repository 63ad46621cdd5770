"""What was drawn before must not be shown under other options or weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

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
        {"seed": 9},
    ],
)
async def test_other_options_are_another_face(
    models: DittoModels, options: DittoOptions, changes: dict[str, Any]
) -> None:
    same = await fingerprint(models, options)
    assert await fingerprint(models, replace(options)) == same
    assert await fingerprint(models, replace(options, **changes)) != same


@pytest.mark.parametrize(
    "runs", [{"name": "fused"}, {"device": torch.device("cuda")}, {"dtype": torch.float16}]
)
async def test_what_auto_chose_decides_and_not_that_it_was_auto(
    models: DittoModels, options: DittoOptions, runs: dict[str, Any]
) -> None:
    """After an update or a fallback the same options draw with something else."""
    assert options.backend == options.device == "auto"
    other = replace(models, runners=replace(models.runners, **runs))
    assert await fingerprint(other, options) != await fingerprint(models, options)


async def test_a_backend_asked_for_by_its_name_is_the_one_that_auto_chose(
    models: DittoModels, options: DittoOptions
) -> None:
    named = replace(options, backend="eager", device="cpu")
    assert models.runners.name == "eager"
    assert await fingerprint(models, named) == await fingerprint(models, options)


async def test_other_weights_are_another_face(
    models: DittoModels, options: DittoOptions, tmp_path: Path
) -> None:
    options = replace(options, checkpoints=write_network_files(tmp_path))
    before = await fingerprint(models, options)
    weights = next(tmp_path.rglob("decoder*"))
    weights.write_bytes(b"trained further")
    assert await fingerprint(models, options) != before
    assert await fingerprint(replace(models, key="other"), options) != before
