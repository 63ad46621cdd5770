"""A server that draws at workers: a turn as a viewer sees it, with a worker killed in it."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import av

from tests.fakes.worker_process import worker_process
from tests.server.conftest import ServeWith, packs, serve, small_presenters

__all__ = ["packs", "serve", "small_presenters"]  # fixtures


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_an_answer_goes_on_when_its_worker_dies(serve: ServeWith, packs: Path) -> None:
    ports = free_port(), free_port()
    with (
        worker_process(ports[0], packs, places=5, picture_ms=20) as first,
        worker_process(ports[1], packs, places=1) as second,
    ):
        addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
        async with serve(workers=addresses) as server, server.socket() as client:
            assert server.parts is not None
            await client.until("session.ready")
            await client.send(type="say", text="One sentence that is long enough to be cut off.")
            await client.until("segment.data")
            first.kill()
            stored = await client.until("video_ready")
            await client.until("turn.finished")
            [started] = client.of("segment.started")
            fragments = client.of("segment.data")
            clip = (await server.http.get(stored["video_url"])).content
            metrics = (await server.admin.get("/metrics")).text
        assert second.poll() is None
    assert client.of("error") == []
    assert [each["index"] for each in fragments] == list(range(len(fragments)))
    assert {each["segment"] for each in fragments} == {started["segment"]}
    with av.open(io.BytesIO(clip), mode="r") as container:
        pictures = sum(1 for _ in container.decode(video=0))
    assert pictures == round(stored["duration"] * 25)
    assert "ditto_worker_takeovers_total 1.0" in metrics
