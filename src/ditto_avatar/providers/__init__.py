"""What every engine with a service behind it needs: retries, deadlines, health, a check."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class ProviderCheck(Protocol):
    """Something that can tell whether it would work; every engine here can."""

    @property
    def name(self) -> str:
        """The engine's name."""

    async def check(self) -> str:
        """One cheap call; a sentence that says what answered. Raises `ProviderRefused` for a
        wrong key, `ProviderFailed` for everything else."""
