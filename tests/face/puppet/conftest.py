from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.puppet.engine import PuppetEngine
from ditto_avatar.types import Phoneme, SpeechChunk
from tests.fakes.packs import make_pack


@pytest.fixture(scope="session")
def oval(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    return load_avatar(make_pack(tmp_path_factory.mktemp("packs") / "oval"))


@pytest.fixture(scope="session")
def engine() -> PuppetEngine:
    """One engine for all tests: preparing a face takes a moment, streams share nothing. It
    outlives every event loop, so its threads end with the process."""
    return PuppetEngine(workers=2)


@pytest.fixture(scope="session")
def speech() -> SpeechChunk:
    """A made-up word, "mapa": a buzzing tone that stops for the closures, then silence."""
    spans = [("m", 0.24, 0.34, 0.2), ("a", 0.34, 0.6, 1.0), ("p", 0.6, 0.72, 0.0)]
    spans += [("a", 0.72, 1.0, 0.8)]
    time = np.arange(int(1.4 * 16_000)) / 16_000
    level = np.zeros(len(time))
    phonemes = []
    for symbol, start, end, loud in spans:
        level[(time >= start) & (time < end)] = loud
        stressed = symbol == "a"
        phonemes.append(Phoneme(symbol, int(start * 16_000), int(end * 16_000), stressed))
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    return SpeechChunk((0.2 * level * buzz).astype(np.float32), tuple(phonemes))
