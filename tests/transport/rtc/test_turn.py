"""Through a TURN server over TCP: for networks that let no UDP through."""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ditto_avatar.transport.rtc.ice import turn_credentials
from ditto_avatar.transport.rtc.service import RtcService

pytest.importorskip("aiortc", reason="the extra rtc is not installed")

from aiortc import RTCConfiguration, RTCIceServer, RTCIceTransportPolicy

from tests.fakes.rtc_player import RtcPlayer

SECRET = "a shared secret"


@pytest.fixture
async def turn_port(tmp_path: Path) -> AsyncIterator[int]:
    """coturn on loopback, which takes passwords made from the secret."""
    program = shutil.which("turnserver")
    if program is None:
        pytest.skip("coturn is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    options = {
        "listening-ip": "127.0.0.1",
        "relay-ip": "127.0.0.1",
        "listening-port": port,
        "realm": "test",
        "static-auth-secret": SECRET,
        "log-file": tmp_path / "log",
        "pidfile": tmp_path / "pid",
        "userdb": tmp_path / "db",
    }
    flags = ["use-auth-secret", "no-cli", "no-tls", "no-dtls", "allow-loopback-peers"]
    lines = [*flags, *(f"{name}={value}" for name, value in options.items())]
    (tmp_path / "turn.conf").write_text("\n".join(lines) + "\n")
    process = await asyncio.create_subprocess_exec(
        program,
        "-c",
        str(tmp_path / "turn.conf"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        await _listens(port)
        yield port
    finally:
        process.terminate()
        await process.communicate()


async def _listens(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                # A process that is not ours to observe from inside.
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


async def test_a_player_reaches_the_server_through_turn_over_tcp(
    turn_port: int, open_service: Callable[..., RtcService]
) -> None:
    user, password = turn_credentials(SECRET, "player", int(time.time()) + 60)
    relay = RTCIceServer(f"turn:127.0.0.1:{turn_port}?transport=tcp", user, password)
    async with RtcPlayer(
        configuration=RTCConfiguration([relay], iceTransportPolicy=RTCIceTransportPolicy.RELAY)
    ) as player:
        offer = await player.offer()
        assert " typ relay " in offer
        link, answer = await open_service().open(
            offer, placed=lambda place: None, ended=lambda: None
        )
        await player.take(answer)
        await player.until(sounds=10)
        await link.close()
