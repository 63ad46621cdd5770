from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest

from ditto_avatar.media.encode import FragmentEncoder
from ditto_avatar.media.packets import SegmentPackets
from ditto_avatar.metrics import Metrics
from ditto_avatar.transport.rtc.options import RtcOptions
from ditto_avatar.transport.rtc.service import RtcService
from ditto_avatar.types import SAMPLES_PER_FRAME

SIZE = 128


def spoken(segment: str, count: int) -> SegmentPackets:
    """A segment of real pictures and a tone."""
    encoder = FragmentEncoder(SIZE, SIZE)
    packets = SegmentPackets(segment)
    tone = (np.sin(np.arange(SAMPLES_PER_FRAME) / 5) / 2).astype(np.float32)
    for index in range(count):
        yuv = np.full((SIZE * 3 // 2, SIZE), 128, np.uint8)
        yuv[:SIZE, : index % SIZE] = 60
        encoder.encode(yuv, tone)
        packets.add(encoder.newest, index)
    encoder.finish()
    packets.hear(np.tile(tone, count), complete=True)
    packets.close()
    return packets


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def open_service(
    metrics: Metrics,
) -> AsyncIterator[Callable[..., RtcService]]:
    """Make services on loopback; they are closed behind the test."""
    pytest.importorskip("aiortc", reason="the extra rtc is not installed")
    from ditto_avatar.transport.rtc.aiortc_peer import AiortcPeer

    opened: list[RtcService] = []

    def make(**options: object) -> RtcService:
        chosen = RtcOptions(**{"bind": ("127.0.0.1",), **options})  # type: ignore[arg-type]
        service = RtcService(chosen, metrics, AiortcPeer)
        service.start()
        opened.append(service)
        return service

    yield make
    for service in opened:
        await service.close()
