from __future__ import annotations

import asyncio
import math
from itertools import islice

from ditto_avatar.media.encode import fragment_lengths
from ditto_avatar.pipeline.pace import Pace, SpeakingTurns, reserve_s
from ditto_avatar.types import FRAME_RATE_HZ
from tests.fakes.clock import ManualClock


async def test_what_is_within_the_lead_is_drawn_at_once() -> None:
    clock = ManualClock()
    pace = Pace(clock, 2.0)
    for media_s in (0.0, 1.0, 2.0):
        await pace.wait(media_s)
    assert clock.sleepers == 0


async def test_what_is_beyond_the_lead_waits_for_its_time() -> None:
    clock = ManualClock()
    pace = Pace(clock, 2.0)
    await pace.wait(0.0)
    waiting = asyncio.create_task(pace.wait(3.0))
    await asyncio.sleep(0)
    clock.advance(0.9)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.2)
    await waiting


async def test_a_model_that_stalls_leaves_no_time_to_draw_ahead() -> None:
    clock = ManualClock()
    pace = Pace(clock, 8.0)
    await pace.wait(0.0)
    await pace.wait(1.0)
    clock.advance(21.0)  # the viewer has seen the one second that there is, and waits
    await pace.wait(1.0)
    await pace.wait(9.0)
    waiting = asyncio.create_task(pace.wait(9.5))
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.5)
    await waiting


async def test_a_short_pause_takes_nothing_from_the_lead() -> None:
    clock = ManualClock()
    pace = Pace(clock, 2.0)
    await pace.wait(0.0)
    await pace.wait(2.0)
    clock.advance(1.5)  # there is half a second left to play
    await pace.wait(3.5)
    waiting = asyncio.create_task(pace.wait(3.6))
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.2)
    await waiting


async def test_a_turn_that_is_far_ahead_waits_for_one_that_has_shown_nothing() -> None:
    clock, turns, other = ManualClock(), SpeakingTurns(), object()
    pace = Pace(clock, 8.0, turns)
    await pace.wait(0.0)
    turns.begin(other)
    await pace.wait(0.5)  # too little in hand to wait
    waiting = asyncio.create_task(pace.wait(3.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    turns.shown(other)
    await waiting
    assert clock.sleepers == 0


async def test_a_turn_that_waits_for_others_never_runs_dry() -> None:
    clock, turns = ManualClock(), SpeakingTurns()
    pace = Pace(clock, 8.0, turns)
    await pace.wait(0.0)
    turns.begin(object())
    waiting = asyncio.create_task(pace.wait(3.0))
    await asyncio.sleep(0)
    clock.advance(1.9)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.2)  # a second is left to play
    await waiting


async def test_waiting_for_others_can_be_cancelled_everywhere() -> None:
    clock, turns = ManualClock(), SpeakingTurns()
    pace = Pace(clock, 8.0, turns)
    await pace.wait(0.0)
    turns.begin(object())
    waiting = asyncio.create_task(pace.wait(3.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.sleep(0)
    assert clock.sleepers == 0


async def test_several_share_the_work_of_one_more_stream() -> None:
    clock, turns = ManualClock(), SpeakingTurns()
    for turn in range(2):
        turns.begin(turn)
        turns.shown(turn)
    pace = Pace(clock, 8.0, turns)
    await pace.wait(0.0)
    await pace.wait(0.5)  # too little in hand to wait
    waiting = asyncio.create_task(pace.wait(3.5))
    await asyncio.sleep(0)
    clock.advance(1.9)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.2)  # three seconds at one and a half times their speed
    await waiting
    turns.end(1)
    await pace.wait(8.0)  # who speaks alone has the machine
    assert clock.sleepers == 0


async def test_a_turn_that_ends_is_forgotten() -> None:
    turns = SpeakingTurns()
    for turn in range(4):
        turns.begin(turn)
    assert turns.speed == 1.25
    for turn in range(4):
        turns.end(turn)
    assert turns.speed == math.inf
    clock = ManualClock()
    await turns.give_way(None, clock, 1.0)
    assert clock.sleepers == 0


def test_the_fragment_that_is_shown_next_is_always_in_hand() -> None:
    drawn = 0
    for length in islice(fragment_lengths(), 20):
        assert reserve_s(drawn / FRAME_RATE_HZ) >= length / FRAME_RATE_HZ
        drawn += length


async def test_a_turn_that_shows_nothing_is_not_held_up_by_itself() -> None:
    clock, turns, film = ManualClock(), SpeakingTurns(), object()
    turns.begin(film)
    pace = Pace(clock, math.inf, turns, film)
    for second in range(60):
        await asyncio.wait_for(pace.wait(float(second)), 5)
    assert clock.now() == ManualClock().now()
