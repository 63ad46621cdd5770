"""A server that is killed at any moment, and started again on the same data."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed

from bench.abuse.watch import family
from bench.serving import Serving, Viewer, serving
from ditto_avatar.session.database import sqlite_url
from tests.fakes.postgres import NotInstalled, running_postgres

LATEST_S = 4.0
_QUESTION = "How does it work?"
_SPEECH = "This is a sentence that takes a while to be spoken and drawn. " * 12
_ANSWERED, _PART_KEPT, _LOST = "answered", "part_kept", "lost"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was accepted before the kill, and the clips that were told of."""

    session: str
    token: str
    id: str
    kind: str
    text: str
    last_seq: int
    clips: tuple[str, ...]


async def kill_often(count: int, log: Path) -> dict[str, Any]:
    """Kill servers on both databases, each half of `count` times; the figures."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        data = {name: Path(folder) / name for name in ("sqlite", "postgres")}
        for path in data.values():
            path.mkdir()
        urls = {"sqlite": sqlite_url(data["sqlite"])}
        left_out = {}
        try:
            server = stack.enter_context(running_postgres())
            urls["postgres"] = stack.enter_context(server.database())
        except NotInstalled as error:
            left_out["kill9_postgres_not_run"] = str(error)
        each = -(-count // len(data))
        results = await asyncio.gather(
            *(_kills(each, data[name], url, log) for name, url in urls.items())
        )
    total = sum(results, Counter[str]())
    return {
        "kill9_lost": total[_LOST],
        "kill9_tried": sum(result.total() - result["orphans"] for result in results),
        "kill9_answered_anew_or_in_full": total[_ANSWERED],
        "kill9_first_part_kept": total[_PART_KEPT],
        "kill9_processes_left_behind": total["orphans"],
        **{f"kill9_tried_{name}": result.total() - result["orphans"]
           for name, result in zip(urls, results, strict=True)},
        **left_out,
    }  # fmt: skip


async def _kills(count: int, data: Path, database: str, log: Path) -> Counter[str]:
    """Each server finds what the one before it was killed with, and is killed in turn."""
    outcomes: Counter[str] = Counter()
    asked: Asked | None = None
    for number in range(count + 1):
        async with serving(log, data, DITTO_DATABASE_URL=database, DITTO_CACHE_MB="0") as server:
            if asked is not None:
                outcomes[await _outcome(server, asked)] += 1
            if number == count:
                break
            asked = await _ask(server, number, LATEST_S * number / max(1, count - 1))
            processes = family(server.pid)
            await server.kill()
        outcomes["orphans"] += await _left_behind(processes)
    return outcomes


async def _ask(server: Serving, number: int, after_s: float) -> Asked:
    """Ask, and read for `after_s` seconds from the moment that it was accepted."""
    kind, text = (("user.text", _QUESTION), ("say", _SPEECH))[number % 2]
    async with server.viewer() as viewer:
        ready = viewer.messages[0][1]
        await viewer.send(type=kind, text=text, id=f"q{number}")
        await viewer.until("turn.started")
        try:
            await viewer.until("nothing", timeout_s=max(0.001, after_s))
        except TimeoutError:
            pass  # as wanted
        messages = [message for _, message in viewer.messages]
        clips = tuple(m["video_url"] for m in messages if m["type"] == "video_ready")
        seq = max(m.get("seq", 0) for m in messages)
        return Asked(ready["session"], ready["token"], f"q{number}", kind, text, seq, clips)


async def _outcome(server: Serving, asked: Asked) -> str:
    """What became of the question: kept once, and answered when it comes again."""
    try:
        async with server.viewer(
            session=asked.session, token=asked.token, after=asked.last_seq
        ) as viewer:
            return await _resent(server, viewer, asked)
    except (AssertionError, ConnectionClosed, TimeoutError) as error:
        sys.stderr.write(f"lost: {asked.kind} {asked.id}: {type(error).__name__} {error}\n")
        return _LOST


async def _resent(server: Serving, viewer: Viewer, asked: Asked) -> str:
    history = viewer.messages[0][1]["history"]
    kept = [entry for entry in history if entry.get("id") == asked.id]
    if asked.kind == "say":  # of what is only said there is no question
        kept = [entry for entry in history if entry["text"] == asked.text.strip()]
    assert len(kept) == 1, f"kept {len(kept)} times"
    async with httpx.AsyncClient(base_url=server.url) as http:
        for clip in asked.clips:
            answer = await http.get(clip, headers={"Range": "bytes=0-99"})
            assert answer.status_code == 206, f"a clip is gone ({answer.status_code})"
    await viewer.send(type=asked.kind, text=asked.text, id=asked.id)
    _, over = await viewer.until("turn.finished", "turn.interrupted", "error", timeout_s=60)
    assert over["type"] != "error", over.get("code")
    assert over["turn"] == kept[0]["turn"], "it became another turn"
    if over["type"] == "turn.finished":
        assert over["text"], "an empty answer"
        return _ANSWERED
    # What the kill cut off stays as far as it was made: it is not answered anew.
    answers = [e for e in history if e["turn"] == over["turn"] and e["role"] == "assistant"]
    assert answers, "neither answered nor kept"
    return _PART_KEPT


async def _left_behind(processes: list[int]) -> int:
    """How many of a killed server's processes still run a while later."""
    for _ in range(20):
        left = [pid for pid in processes if _runs(pid)]
        if not left:
            return 0
        await asyncio.sleep(0.1)
    return len(left)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"
