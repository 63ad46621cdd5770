"""Try the voices of this machine when the server starts, and again when it is quieter."""

from __future__ import annotations

import asyncio

from ditto_avatar.clock import Clock
from ditto_avatar.session.admission import Admission
from ditto_avatar.speech.neural.local import LocalSpeech

# A server starts amid much else: films of its avatars are drawn, a browser opens. The first wait is
# about as long as that; each one after is twice as long, for a test takes some seconds of a core.
_FIRST_S = 60.0
_LONGEST_S = 3_600.0


async def try_voices(local: LocalSpeech, admission: Admission, clock: Clock) -> None:
    """Try every voice, and later, while nobody is spoken to, those again that were too slow only
    because the machine was busy. Never returns; cancelling is safe."""
    await local.prepare()
    wait_s = _FIRST_S
    while True:
        await local.doubtful.wait()
        await clock.sleep_until(clock.now() + wait_s)
        await admission.idle.wait()
        if await _try_while_idle(local, admission):
            wait_s = min(_LONGEST_S, 2 * wait_s)


async def _try_while_idle(local: LocalSpeech, admission: Admission) -> bool:
    """Try again, and stop when a turn begins: it needs the machine, and spoils the measuring.
    Returns whether all were tried."""
    trying = asyncio.create_task(local.try_again())
    busy = asyncio.create_task(admission.busy.wait())
    try:
        await asyncio.wait([trying, busy], return_when=asyncio.FIRST_COMPLETED)
    finally:
        busy.cancel()
        trying.cancel()
        # The process of the voice is gone before anything else is begun.
        await asyncio.wait([trying, busy])
    if trying.cancelled():
        return False
    trying.result()
    return True
