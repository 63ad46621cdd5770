"""What strangers leave to an honest viewer: how soon it is answered, and which places are left."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from bench import report
from bench.abuse.attacks import Attack, address, attackers
from bench.abuse.memory import DEFAULT_PACE, speak_once
from bench.abuse.watch import metric
from bench.latency import QUESTIONS
from bench.serving import Serving, Viewer, serving
from ditto_avatar.settings import Settings

# Each from an address of its own.
_ATTACKS = (("fill_the_line", 20), ("flood", 8), ("endless_heads", 8))
# Until an attack is under way, in seconds.
_RAMP_S = 3.0
# Fewer than a session may begin in a minute.
_TURNS_OF_A_SESSION = 25
_PLACES = 4
_LONG_TEXT = ("This is said for as long as it may. " * 120)[:3_990]


async def honest_latency(rounds: int, seconds: float, log: Path) -> dict[str, Any]:
    """ms until an honest viewer's first fragment, with and without attacks in turn; the
    figures."""
    alone: list[float] = []
    beside: list[float] = []
    async with serving(log, DITTO_CACHE_MB="0", **DEFAULT_PACE) as server:
        await speak_once(server)
        async with attackers() as attack:
            for _ in range(rounds):
                attacks = [
                    attack(Attack(name, server.port, sockets, seconds + _RAMP_S, 100 * place))
                    for place, (name, sockets) in enumerate(_ATTACKS)
                ]
                await asyncio.sleep(_RAMP_S)
                under_way = asyncio.ensure_future(asyncio.gather(*attacks))
                beside += await _first_fragments_ms(server, under_way)
                await under_way
                await _quiet(server)
                # As many as beside the attacks, so that both have the same tail.
                alone += await _first_fragments_ms(server, None, len(beside) - len(alone))
    ratio = report.percentile(beside, 95) / report.percentile(alone, 95)
    return {
        "honest_ratio_p95": round(ratio, 2),
        "honest_first_fragment_ms_p95": round(report.percentile(beside, 95), 1),
        "honest_first_fragment_ms_undisturbed_p95": round(report.percentile(alone, 95), 1),
        "honest_first_fragment_ms_p50": round(report.p50(beside), 1),
        "honest_first_fragment_ms_undisturbed_p50": round(report.p50(alone), 1),
        "honest_turns": len(beside),
    }


async def _first_fragments_ms(
    server: Serving, until: asyncio.Future[Any] | None, most: int = 1_000
) -> list[float]:
    """Ask again and again, in a new session now and then."""
    found: list[float] = []
    while len(found) < most and not (until is not None and until.done()):
        async with server.viewer() as viewer:
            for _ in range(min(_TURNS_OF_A_SESSION, most - len(found))):
                if until is not None and until.done():
                    break
                found.append(await _first_fragment_ms(viewer, len(found)))
    return found


async def _first_fragment_ms(viewer: Viewer, turn: int) -> float:
    viewer.messages.clear()
    question = QUESTIONS[turn % len(QUESTIONS)]
    asked = await viewer.send(type="user.text", text=question, idle_frame=turn % 100)
    arrived, _ = await viewer.until("segment.data", "error")
    await viewer.send(type="interrupt")
    await viewer.until("turn.interrupted", "turn.finished")
    await asyncio.sleep(0.5)  # a person needs longer to ask the next question
    return (arrived - asked) * 1000


async def _quiet(server: Serving) -> None:
    """Return when nothing of the attacks is spoken any more."""
    async with asyncio.timeout(120):
        # The server does not tell: it has to be asked.
        while await metric(server, "ditto_speaking") + await metric(server, "ditto_waiting"):  # noqa: ASYNC110
            await asyncio.sleep(0.5)


async def places_left(log: Path) -> dict[str, Any]:
    """One address takes all sessions, speaking places and places in line that it can get; what is
    left of each, and how soon somebody else speaks."""
    limits = Settings(_env_file=None)
    async with serving(
        log, DITTO_MAX_SPEAKING=str(_PLACES), DITTO_CACHE_MB="0", DITTO_TURNS_PER_MINUTE=""
    ) as server:
        await speak_once(server)
        transport = httpx.AsyncHTTPTransport(local_address=address(0))
        async with (
            httpx.AsyncClient(base_url=server.url, transport=transport, timeout=60) as http,
            AsyncExitStack() as stack,
        ):
            opened = await _open_all(http, server)
            # Viewers, so that what they say does not have to give way.
            for one in opened[: limits.max_waiting * 2]:
                viewer = await stack.enter_async_context(
                    server.viewer(source=address(0), session=one["session"], token=one["token"])
                )
                await viewer.send(type="say", text=_LONG_TEXT)
                await viewer.until("turn.started")
            left = {
                "sessions": limits.max_sessions - await metric(server, "ditto_sessions"),
                "speaking": _PLACES - await metric(server, "ditto_speaking"),
                "waiting": limits.max_waiting - await metric(server, "ditto_waiting"),
            }
            async with server.viewer(source=address(500)) as other:
                soon = await _first_fragment_ms(other, 0)
                spoke = not any(m["type"] == "error" for _, m in other.messages)
    return {
        "places_left_for_others": int(min(left.values())),
        **{f"{name}_left_for_others": int(value) for name, value in left.items()},
        "other_first_fragment_ms_when_one_took_all": round(soon, 1),
        "other_was_answered": spoke,
    }


async def _open_all(http: httpx.AsyncClient, server: Serving) -> list[dict[str, Any]]:
    """Open sessions until there are no more of them than before, or the server refuses."""
    opened: list[dict[str, Any]] = []
    held = 0.0
    while True:
        answers = [await http.post("/api/sessions", json={}) for _ in range(50)]
        opened += [answer.json() for answer in answers if answer.status_code == 201]
        before, held = held, await metric(server, "ditto_sessions")
        if held <= before:
            return opened
