"""Finish what runs and begin nothing new."""

from __future__ import annotations

from ditto_avatar.errors import ShuttingDown


class Drain:
    """Remember whether new sessions and turns are refused for the moment. Belongs to the event
    loop."""

    def __init__(self) -> None:
        self.on = False

    def check(self) -> None:
        """Raise `ShuttingDown` while the server drains."""
        if self.on:
            raise ShuttingDown("The server takes nothing new at the moment; please try again soon.")
