"""What can be configured about WebRTC; part of `settings.Settings`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class RtcSettings(BaseSettings):
    """The fields of `Settings` that begin with rtc, ice or turn."""

    rtc: Literal["auto", "off"] = Field(
        "auto", description="whether pages may take WebRTC; auto where the extra rtc is installed"
    )
    rtc_address: str | None = Field(
        None, description="public IP address of this machine, where a router or cloud maps it"
    )
    rtc_bind: str = Field(
        "", description="local IP addresses that WebRTC uses, by commas (default: all)"
    )
    rtc_ports: str = Field(
        "", description="range of UDP ports that WebRTC uses, as 40000-40199 (default: any)"
    )
    ice_servers: str = Field(
        "", description="STUN servers that pages are told of, as stun:host:3478, by commas"
    )
    turn_url: str = Field(
        "",
        description="TURN servers that pages are told of, as turn:host:3478?transport=tcp, "
        "by commas",
    )
    turn_secret: SecretStr | None = Field(
        None, description="secret shared with the TURN server, from which passwords are made"
    )
    turn_ttl_s: int = Field(3_600, ge=60, description="how long such a password is good for")
    rtc_idle: Literal["local", "stream"] = Field(
        "local",
        description="whether players at the WHEP address are sent the idle loop all the time",
    )
    rtc_microphone: Literal["websocket", "rtc"] = Field(
        "websocket", description="the way microphones take to the server"
    )
    rtc_max_peers: int = Field(40, gt=0, description="viewers that may have WebRTC at once")
    rtc_start_frames: int = Field(
        1, ge=1, le=25, description="pictures that lie ready before a sentence begins"
    )
