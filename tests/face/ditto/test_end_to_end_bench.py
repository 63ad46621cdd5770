"""The bench that counts viewers from speech to fragments: that it can be trusted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

from bench import gpu_end_to_end, gpu_sentences
from bench.end_to_end import LEAD_S, Played, drawn, drawn_and_encoded, most, play
from bench.gpu_end_to_end import without
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.engine import DittoEngine
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.options import DittoOptions
from tests.fakes.engines import LoudnessFace


def holding(limit: int) -> Callable[[int, float], object]:
    """A device that holds so many viewers."""

    async def trial(count: int, seconds: float) -> Played:
        return Played([-0.1] * 99 + [0.1 if count > limit else -0.1] * 2)

    return trial


@pytest.mark.parametrize("limit", [1, 7, 16, 18, 30])
async def test_the_most_that_are_held_are_found(limit: int) -> None:
    found, played = await most(holding(limit), 16, 3, 20, lambda _: None)  # type: ignore[arg-type]
    assert found == limit
    assert played is not None
    assert played.good


def test_lowered_quality_is_not_held() -> None:
    assert Played([-0.1]).good
    assert not Played([-0.1], strained=True).good


async def test_a_frame_that_comes_late_is_counted_late() -> None:
    async def at_once(frames: int) -> AsyncIterator[int]:
        yield frames

    async def twice_as_many(frames: int) -> AsyncIterator[int]:
        yield 2 * frames

    played = await play([at_once, at_once], 0.2, lambda: False, 0.1)
    assert len(played.late_s) == 10
    assert played.on_time == 1
    assert max(played.late_s) < 0
    assert -LEAD_S - 0.2 < min(played.late_s)
    with pytest.raises(ExceptionGroup):
        await play([twice_as_many], 0.2, lambda: False, 0.1)


async def test_single_sentences_wait_for_the_services_and_make_whole_films(
    avatar: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_sentences, "TIMES", 1)
    with ThreadPoolExecutor(1) as executor:
        figures = await gpu_sentences.measure_sentences(LoudnessFace(), avatar, executor)
    waited = gpu_sentences.FIRST_TOKEN_S + gpu_sentences.FIRST_SOUND_S
    assert figures["text_to_picture_s"] >= waited
    assert figures["sentence_to_mp4_s"] > 0


@pytest.mark.parametrize("stage", ["motion", "frames"])
async def test_a_stage_that_is_left_out_is_not_called_and_every_frame_comes(
    stage: str, models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    engine = DittoEngine(models, options)

    def called(*_: object) -> Tensor:
        raise AssertionError("the stage was not left out")

    never: Any = called

    engine.pipeline.runners = {
        "motion": replace(models.runners, clip=never),
        "frames": replace(models.runners, frame=never),
    }[stage]
    try:
        with without(stage, engine, avatar), ThreadPoolExecutor(1) as executor:
            for watch in (drawn_and_encoded(engine, avatar, executor), drawn(engine, avatar)):
                assert sum([count async for count in watch(20)]) == 20
    finally:
        await engine.close()


async def test_every_stage_is_left_out_once(
    models: DittoModels,
    options: DittoOptions,
    avatar: Avatar,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left_out: list[str] = []
    tried: list[tuple[str, ...]] = []

    @contextmanager
    def noted(stage: str, *_: object) -> Iterator[None]:
        left_out.append(stage)
        yield
        left_out.remove(stage)

    async def one(trial: Any, start: int, *_: object) -> tuple[int, Played]:
        played = await trial(1, 0.2)
        assert len(played.late_s) == 5
        tried.append(tuple(left_out))
        return start, played

    monkeypatch.setattr(gpu_end_to_end, "without", noted)
    monkeypatch.setattr(gpu_end_to_end, "most", one)
    engine = DittoEngine(models, options)
    figures: dict[str, Any] = {}
    try:
        with ThreadPoolExecutor(1) as executor:
            trials = gpu_end_to_end.Trials(engine, avatar, executor, 0.2)
            assert await trials.whole(7, figures) == 7
            await trials.without_each(7, figures)
    finally:
        await engine.close()
    assert figures["viewers_end_to_end"] == figures["viewers_at_once"] == 7
    assert figures["viewers_without"] == {"encoding": 7, "sound": 7, "motion": 7, "frames": 7}
    assert tried == [(), (), (), ("sound",), ("motion",), ("frames",)]
