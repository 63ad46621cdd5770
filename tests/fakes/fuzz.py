"""Messages that no page sends: nearly right ones out of a seed, and breaches of the protocol."""

from __future__ import annotations

import asyncio
import json
import random
import string
from typing import Any

from websockets.frames import Frame, Opcode

# Stands wherever a visitor's own words would, so that they are found in a log.
SECRET = "what-the-visitor-said"
TYPES = (
    "hello", "user.text", "say", "interrupt", "avatar.select", "language.select", "playback",
    "audio.start", "audio.stop", "ping", "nothing", "",
)  # fmt: skip
FIELDS = (
    "type", "text", "id", "idle_frame", "avatar", "language", "segment", "state", "media_ms",
    "drift_ms", "since_text_ms", "mode", "t", "session", "token", "after", "playback",
)  # fmt: skip


class Fuzz:
    """Makes messages that are nearly right, out of a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def value(self, depth: int = 0) -> Any:
        pick = self._random
        return pick.choice(
            [
                None, True, -1, 0, 2**70, -1e308, float("nan"), float("inf"), "", SECRET, "en",
                SECRET * 30, "\u0000", "\ud83d", "é" * 70, [], {}, "oval", "painted", "stream",
                *([[self.value(depth + 1)], {SECRET: self.value(depth + 1)}] if depth < 3 else []),
            ]
        )  # fmt: skip

    def message(self) -> dict[str, Any]:
        pick = self._random
        message: dict[str, Any] = {"type": pick.choice(TYPES)}
        for _ in range(pick.randrange(5)):
            name = pick.choice([*FIELDS, SECRET, "".join(pick.choices(string.printable, k=9))])
            message[name] = self.value()
        return message

    def text(self) -> str:
        pick = self._random
        whole = json.dumps(self.message(), ensure_ascii=True)
        return pick.choice(
            [
                whole, whole, whole, whole[: pick.randrange(len(whole) + 1)], f"[{whole}]",
                "[" * pick.randrange(3_000), SECRET, '{"type": "say", "text": "' + SECRET,
            ]
        )  # fmt: skip

    def bytes(self) -> bytes:
        return self._random.randbytes(self._random.randrange(200))


async def raw_frame(client: Any, opcode: Opcode, data: bytes, *, fin: bool = True) -> None:
    """A frame as it is, right or wrong."""
    frame = Frame(opcode, data, fin).serialize(mask=True, extensions=[])
    client.transport.write(frame)
    await asyncio.sleep(0)


async def say_something(client: Any, fuzz: Fuzz, number: int) -> None:
    """One message or one breach of the protocol below it."""
    if number % 40 == 7:
        await raw_frame(client, Opcode.TEXT, b"\xff\xfe" + SECRET.encode())
    elif number % 40 == 17:
        await raw_frame(client, Opcode.CONT, b"a piece of nothing")
    elif number % 40 == 27:
        await raw_frame(client, Opcode.TEXT, b'{"type":', fin=False)
        await raw_frame(client, Opcode.PING, b"in between")
        await raw_frame(client, Opcode.CONT, b'"ping","t":1}')
    elif number % 40 == 33:
        await raw_frame(client, Opcode.CLOSE, b"\x03")
    elif number % 40 == 37:
        await raw_frame(client, Opcode.CLOSE, b"\x03\xe8")
        await raw_frame(client, Opcode.TEXT, b'{"type": "ping", "t": 1}')
        client.transport.abort()
    elif number % 5 == 0:
        await client.send(fuzz.bytes())
    else:
        await client.send(fuzz.text())
