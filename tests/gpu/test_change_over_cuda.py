"""One backend takes over from another on a real device, while viewers are drawn."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.engine import DittoEngine
from ditto_avatar.face.ditto.loading import own_stream
from ditto_avatar.face.ditto.models import Coming, DittoModels
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.runtime.beside import Beside
from ditto_avatar.face.ditto.runtime.choice import choose_runners, interim_runners
from ditto_avatar.face.ditto.runtime.sound.encoder import DeviceEncoder, choose_encoder
from ditto_avatar.face.ditto.runtime.warming import measure
from ditto_avatar.face.pack import load_avatar
from tests.face.ditto.hubert import FEW_LAYERS, write_hubert
from tests.face.ditto.reference import distance
from tests.face.ditto.small import SMALL, small_networks
from tests.face.ditto.standins import build_models, small_pictures
from tests.face.ditto.test_engine import perform, pictures, speech
from tests.fakes.packs import make_pack

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
STEPS = 2


def soon_and_quick(folder: Path) -> DittoModels:
    """The small networks as they are, recorded, and the same compiled while those draw; sound by
    ONNX Runtime until the device encodes it."""
    cuda = torch.device("cuda")
    base = build_models(folder / "onnx")
    path = write_hubert(folder / "onnx" / "encoder.onnx", FEW_LAYERS)
    tell = logging.getLogger(__name__).info

    def make(beside: Beside) -> DittoModels:
        with own_stream(cuda):
            encode = choose_encoder(path, cuda, lambda: base.encode, (1, 4), beside=beside)
            runners = choose_runners(
                small_networks(),
                cuda,
                "compiled",
                tell,
                SMALL,
                (STEPS,),
                small=True,  # two sizes: each is compiled beside a viewer, half a minute long
                beside=beside,
            )
            capacity = beside.on_device(lambda: measure(runners, STEPS, SMALL))
        return replace(base, runners=small_pictures(runners), encode=encode, capacity=capacity)

    from ditto_avatar.face.ditto.audio import OnnxEncoder

    base = replace(base, encode=OnnxEncoder(path))
    soon = interim_runners(small_networks(), cuda, tell, SMALL, (STEPS,))
    capacity = measure(soon, STEPS, SMALL)
    return replace(
        base, runners=small_pictures(soon), capacity=capacity, coming=Coming("compiled", 2, make)
    )


async def test_viewers_are_drawn_before_while_and_after(tmp_path: Path) -> None:
    avatar: Avatar = load_avatar(
        make_pack(tmp_path / "oval", frames=12, atlas=False, blendshapes=False)
    )
    options = DittoOptions(tmp_path, sampling_timesteps=STEPS, max_streams=4)
    engine = DittoEngine(await asyncio.to_thread(soon_and_quick, tmp_path), options)
    engine._owners = iter(lambda: 0, 1)  # type: ignore[assignment]  # the noise of all is the same
    assert engine.backends.draws == "graphs"
    sound, drawn = speech(40), []
    while engine.backends.prepares:
        drawn.append(pictures(await perform(await engine.open(avatar), [sound])))
    spanning = len(drawn)
    after = pictures(await perform(await engine.open(avatar), [sound]))
    assert spanning >= 1
    assert engine.backends.failed == 0
    assert engine.backends.draws == "compiled"
    assert isinstance(engine._renderer.models.encode, DeviceEncoder)
    for each in drawn:
        assert np.array_equal(each, drawn[0]), "what is prepared beside it changes no picture"
    assert distance(torch.from_numpy(after).float(), drawn[0].astype(np.float32)) < 0.05
    await engine.close()
