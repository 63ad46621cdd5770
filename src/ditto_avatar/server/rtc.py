"""Open WebRTC as the settings say."""

from __future__ import annotations

import ipaddress
import logging
import time
from contextlib import AsyncExitStack

from ditto_avatar.errors import InvalidInput
from ditto_avatar.metrics import Metrics
from ditto_avatar.settings import Settings, revealed
from ditto_avatar.transport.rtc.ice import IceServers, addresses
from ditto_avatar.transport.rtc.options import RtcOptions
from ditto_avatar.transport.rtc.service import RtcService

log = logging.getLogger(__name__)

_LAST_PORT = 65_535


async def open_rtc(
    settings: Settings, metrics: Metrics, stack: AsyncExitStack
) -> RtcService | None:
    """Begin to serve WebRTC; `stack` ends it. None where it is off, or where the extra is missing.
    Raises `InvalidInput` for settings that cannot be used."""
    options = rtc_options(settings)
    if settings.rtc == "off":
        return None
    try:
        from ditto_avatar.transport.rtc.aiortc_peer import AiortcPeer
    except ImportError as error:
        log.info("no WebRTC (%s is missing): pip install -e '.[rtc]'", error.name)
        return None
    for name in ("aioice", "aiortc"):
        # They log the addresses of visitors.
        logging.getLogger(name).setLevel(logging.ERROR)
    service = RtcService(options, metrics, AiortcPeer)
    service.start()
    stack.push_async_callback(service.close)
    return service


def rtc_options(settings: Settings) -> RtcOptions:
    """Read the settings of WebRTC. Raises `InvalidInput`, naming the one that is wrong."""
    return RtcOptions(
        ice=IceServers(
            stun=addresses(settings.ice_servers, "DITTO_ICE_SERVERS"),
            turn=addresses(settings.turn_url, "DITTO_TURN_URL"),
            secret=revealed(settings.turn_secret),
            ttl_s=settings.turn_ttl_s,
            wall=time.time,
        ),
        address=next(iter(_ips(settings.rtc_address or "", "DITTO_RTC_ADDRESS")), None),
        bind=_ips(settings.rtc_bind, "DITTO_RTC_BIND"),
        ports=_ports(settings.rtc_ports),
        max_peers=settings.rtc_max_peers,
        start_frames=settings.rtc_start_frames,
        streams_idle=settings.rtc_idle == "stream",
        hears=settings.rtc_microphone == "rtc",
    )


def _ips(text: str, setting: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for address in found:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise InvalidInput(f"{setting}: expected an IP address, came {address}.") from None
    return found


def _ports(text: str) -> range:
    if not text:
        return range(0)
    first, _, last = text.partition("-")
    if first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last) <= _LAST_PORT:
        return range(int(first), int(last) + 1)
    raise InvalidInput(f"DITTO_RTC_PORTS: expected a range as 40000-40199, came {text}.")
