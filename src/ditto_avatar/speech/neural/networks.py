"""The networks of a voice, and how a child process is asked to run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("child.py")


@dataclass(frozen=True, slots=True)
class Network:
    """A model file, and inner values that it should give as outputs, with their type (`graph`),
    where it has them."""

    path: Path
    outputs: Sequence[tuple[str, int]] = ()


def order_of(networks: Mapping[str, Network], threads: int) -> dict[str, Any]:
    """Write the order for `PROGRAM`."""
    return {
        "threads": threads,
        "models": {
            name: {"path": str(network.path.absolute()), "outputs": list(network.outputs)}
            for name, network in networks.items()
        },
    }
