"""Read the `Authorization` header."""

from __future__ import annotations


def bearer(header: str | None) -> str | None:
    """Read the token or key of ``Authorization: Bearer …``; None without one."""
    scheme, _, text = (header or "").partition(" ")
    return text.strip() or None if scheme.lower() == "bearer" else None
