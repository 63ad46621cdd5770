"""How threads share the processor."""

from __future__ import annotations

import sys

import pytest

from ditto_avatar.cores import QUICK_SWITCH_S, quick_switches
from ditto_avatar.transport.rtc.thread import LoopThread


def test_switches_are_quick_until_the_last_one_has_left() -> None:
    before = sys.getswitchinterval()
    first, second = quick_switches(), quick_switches()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(QUICK_SWITCH_S)
    second.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(before)


async def test_the_thread_that_sends_packets_gets_its_turn_soon() -> None:
    async def interval() -> float:
        return sys.getswitchinterval()

    before = await interval()
    thread = LoopThread("sends")
    thread.start()
    assert await thread.call(interval) == pytest.approx(QUICK_SWITCH_S)
    await thread.close()
    assert await interval() == pytest.approx(before)
