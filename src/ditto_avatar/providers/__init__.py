"""Share what every engine with a service behind it needs: retries, deadlines, health, checks."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class ProviderCheck(Protocol):
    """Tell whether an engine would work; every engine here can."""

    @property
    def name(self) -> str:
        """The engine's name."""

    async def check(self) -> str:
        """Make one cheap call; return a sentence that says what answered. Raises `ProviderRefused`
        for a wrong key, `ProviderFailed` for everything else."""
