"""What is configured about WebRTC."""

from __future__ import annotations

from dataclasses import dataclass, field

from ditto_avatar.transport.rtc.ice import IceServers


@dataclass(frozen=True, slots=True)
class RtcOptions:
    """`address` is the public address that is put into answers, `bind` the local ones that are
    used (empty: all), `ports` the UDP ports (empty: any). With `streams_idle` the idle loop is
    sent all the time. With `hears`, microphones come this way as well."""

    ice: IceServers = field(default_factory=IceServers)
    address: str | None = None
    bind: tuple[str, ...] = ()
    ports: range = range(0)
    max_peers: int = 40
    start_frames: int = 1
    streams_idle: bool = False
    hears: bool = False
