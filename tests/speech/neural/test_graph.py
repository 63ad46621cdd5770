"""A network is cut in two at an inner value, and both halves say what the whole one says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.neural.engine import ModelSpeech
from ditto_avatar.speech.neural.families.piper import PiperVoice, open_piper
from ditto_avatar.speech.neural.graph import FLOAT, cut
from ditto_avatar.types import SpeechChunk, joined
from tests.fakes.voices import DURATIONS, FRAMES, write_piper

LONG = "This is a sentence without any sign which goes on and on for quite a while until it ends."


def halves(path: Path, value: str = FRAMES) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    made = cut(memoryview(path.read_bytes()), value, FLOAT, [DURATIONS, "no such value"])
    before, after = (onnx.load_from_string(b"".join(half)) for half in made)
    return before, after


def test_each_half_has_its_own_nodes_and_weights(tmp_path: Path) -> None:
    path = write_piper(tmp_path)
    whole, (before, after) = onnx.load(path), halves(path)
    assert [value.name for value in before.graph.output] == [FRAMES, DURATIONS]
    assert [value.name for value in after.graph.input] == [FRAMES]
    assert [value.name for value in after.graph.output] == ["output"]
    assert len(before.graph.node) + len(after.graph.node) == len(whole.graph.node)
    assert "gain" not in {tensor.name for tensor in before.graph.initializer}
    assert "ramp" in {tensor.name for tensor in after.graph.initializer}


@pytest.mark.parametrize("value", ["its_id", "no such value", "input", "output"])
def test_a_value_that_is_not_all_that_goes_on_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(ValueError, match=r"value|half"):
        halves(write_piper(tmp_path), value)


@pytest.mark.parametrize("content", [b"", b"cut short", b"\x3a\xff\xff\xff\x7f", b"\x80" * 40])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"model|unpack"):
        cut(memoryview(content), FRAMES, FLOAT)


async def spoken(path: Path, espeak: EspeakEngine) -> tuple[PiperVoice, list[SpeechChunk], int]:
    model = open_piper(path)
    engine = ModelSpeech(model, "key", espeak)
    try:
        (voice,) = engine.voices()
        takes = [take async for take in engine.takes(LONG, voice, 1.0)]
        return model, [chunk async for chunk in engine.speak(LONG, voice)], len(takes)
    finally:
        await engine.close()


async def test_a_long_sentence_comes_in_pieces_and_sounds_like_a_whole_one(
    tmp_path: Path,
) -> None:
    async with EspeakEngine(children=1) as espeak:
        whole_model, whole, takes = await spoken(
            write_piper(tmp_path / "whole", frames="/Other_output_0"), espeak
        )
        model, made, pieces = await spoken(write_piper(tmp_path / "halves"), espeak)
    assert (whole_model.in_pieces, model.in_pieces) == (False, True)
    assert takes == 1
    assert pieces > 4
    first, second = joined(whole), joined(made)
    assert [p.symbol for p in second.phonemes] == [p.symbol for p in first.phonemes]
    for one, other in zip(first.phonemes, second.phonemes, strict=True):
        assert one.start == pytest.approx(other.start, abs=2)
        assert one.end == pytest.approx(other.end, abs=2)
    assert np.abs(second.samples - first.samples).max() < 0.01
