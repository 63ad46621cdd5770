"""Decide from where the operator's side can be reached, and warn of an open server."""

from __future__ import annotations

import ipaddress
from enum import Enum

from ditto_avatar.settings import Settings


class OperatorPort(Enum):
    """The places where metrics, docs and the admin interface are served."""

    MAIN = "on the main port"
    OWN = "on a port of their own"
    NONE = "nowhere"


def operator_port(settings: Settings) -> OperatorPort:
    """Decide where the operator's side is served: strangers must not reach it by default."""
    if settings.admin_port is not None:
        return OperatorPort.OWN
    return OperatorPort.MAIN if is_loopback(settings.host) else OperatorPort.NONE


def warning_for(settings: Settings) -> str | None:
    """Say what it means that strangers can reach a server without keys; None where they cannot, or
    where it has keys."""
    if is_loopback(settings.host) or settings.api_keys.strip() or settings.api_keys_file:
        return None
    return (
        f"The server listens on {settings.host or 'all addresses'} and has no keys: everybody who "
        "reaches it can open conversations, spend what your language model and speech services "
        "cost, and make the presenters say anything. To let in only those you invite, run "
        "`ditto-avatar keys new` and put the line it prints into the settings (DITTO_API_KEYS)."
    )


def is_loopback(host: str) -> bool:
    """Return whether a server that listens on `host` is reached from its own machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
