"""One child process that owns an espeak-ng, as the server sees it."""

from __future__ import annotations

import asyncio
import struct
from asyncio.subprocess import Process
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader

from ditto_avatar.speech.child_processes.client import ChildFailed, ChildProcess, spawn
from ditto_avatar.speech.espeak import protocol
from ditto_avatar.speech.espeak.request import Request
from ditto_avatar.speech.espeak.sound import Frame, Sound
from ditto_avatar.speech.phoneme_stream import PhonemeMark

_PROGRAM = Path(__file__).with_name("child.py")
# 1,000 characters are about a minute; names of rare signs take a second each.
_LONGEST_SOUND = 30 * 60 * protocol.SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long, in seconds, is waited for a place in the pool, for a child to be ready, for its
    next frame, and for the whole of a request. A child needs 50 ms to be ready, 1 ms for the
    first frame and 10 ms for a sentence: these are for a machine that is overwhelmed."""

    place_s: float = 60.0
    start_s: float = 20.0
    frame_s: float = 5.0
    request_s: float = 30.0


class EspeakProcess(ChildProcess):
    """A running child with its espeak-ng."""

    def __init__(self, process: Process, deadlines: Deadlines) -> None:
        super().__init__(process, protocol.MAX_PAYLOAD_BYTES)
        self._deadlines = deadlines
        self.version = ""

    @classmethod
    async def start(cls, deadlines: Deadlines) -> EspeakProcess:
        """Start a child and wait until it is ready. Raises `ChildFailed`, or `OSError` when the
        system starts no process. Cancelling is safe: no process stays behind."""
        library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
        # Without site-packages, which it does not need.
        child = cls(await spawn("-S", str(_PROGRAM), str(library), str(data)), deadlines)
        version = await child.wait_until_ready(deadlines.start_s)
        child.version = version.decode("ascii", "replace")
        return child

    async def say(self, request: Request, sound: Sound) -> int:
        """Let the child say `request` into `sound`, from the start; returns how it ended, one of
        `protocol`'s outcomes. When the reader leaves, the child is told to stop and this returns
        within one buffer of sound. Raises `ChildFailed`; after that, and after a cancellation,
        the child must be ended."""
        sound.begin(lambda: self.send(protocol.STOP))
        self.send(
            protocol.SPELL if request.spell else protocol.SPEAK,
            protocol.speak(
                request.text.encode("utf-8", "ignore"),
                request.voice.encode("utf-8", "ignore"),
                request.rate_wpm,
                request.pitch,
                request.pitch_range,
            ),
        )
        try:
            return await self._listen(sound)
        finally:
            sound.leave_child()

    async def _listen(self, sound: Sound) -> int:
        now = asyncio.get_running_loop().time
        last = now() + self._deadlines.request_s
        try:
            async with asyncio.timeout(None) as deadline:
                while True:
                    deadline.reschedule(min(last, now() + self._deadlines.frame_s))
                    kind, payload = await self.receive()
                    if kind == protocol.DONE and len(payload) == 1:
                        return payload[0]
                    if kind != protocol.SOUND or sound.samples > _LONGEST_SOUND:
                        raise ChildFailed("nonsense")
                    sound.add(_frame(payload))
        except TimeoutError:
            raise ChildFailed("hung") from None


def _frame(payload: bytes) -> Frame:
    try:
        marks, samples = protocol.read_sound(payload)
    except struct.error:
        raise ChildFailed("nonsense") from None
    # A character that did not fit into the eight bytes of a symbol is dropped.
    return Frame(
        samples,
        tuple(PhonemeMark(symbol.decode("utf-8", "ignore"), sample) for sample, symbol in marks),
    )
