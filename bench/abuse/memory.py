"""Peers that send without end, read nothing or only hold their connection: what they cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.abuse.attacks import Attack, attackers
from bench.abuse.watch import watching
from bench.serving import Serving, serving

# How many sockets each attack has.
SOCKETS = {"endless_heads": 8, "endless_urls": 8, "unread_answers": 8, "many_sockets": 3_000}
DEFAULT_PACE = {"DITTO_TURNS_PER_MINUTE": "", "DITTO_SESSIONS_PER_MINUTE": ""}


async def under_load(seconds: float, scale: float, log: Path) -> dict[str, Any]:
    """Attack a fresh server in each of these ways; the figures."""
    growth: dict[str, float] = {}
    healthz: dict[str, float] = {}
    counts: dict[str, dict[str, int]] = {}
    for name, sockets in SOCKETS.items():
        sockets = sockets if sockets < 100 else round(sockets * scale)
        async with serving(log, **DEFAULT_PACE) as server, attackers() as attack:
            await speak_once(server)  # libraries loaded, pools full
            async with watching(server) as watch:
                counted = await attack(Attack(name, server.port, sockets, seconds))
            growth[name] = round(watch.growth_mb, 1)
            healthz[name] = round(max(watch.healthz_ms), 1)
            counts[name] = dict(counted)
    return {
        "rss_growth_mb": max(growth.values()),
        **{f"rss_growth_mb_{name}": value for name, value in growth.items()},
        "healthz_worst_ms": max(healthz.values()),
        **{f"healthz_worst_ms_{name}": value for name, value in healthz.items()},
        "sockets_held": counts["many_sockets"].get("held_to_the_end", 0),
        "attack_counts": counts,
    }


async def speak_once(server: Serving) -> None:
    """An honest viewer asks, and is answered."""
    async with server.viewer() as viewer:
        await viewer.send(type="user.text", text="What is Ditto Avatar?", idle_frame=0)
        await viewer.until("turn.finished")
