"""The networks of a voice, and how a child process is asked to run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

PROGRAM = Path(__file__).with_name("child.py")


@dataclass(frozen=True, slots=True)
class Cut:
    """Which half of a model is meant: the one before the inner value `value`, of `element`'s type
    (`graph`), or the one after it."""

    value: str
    element: int
    half: Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Network:
    """A model file or half of it, and inner values that it should give as outputs, with their type
    (`graph`), where it has them."""

    path: Path
    outputs: Sequence[tuple[str, int]] = ()
    cut: Cut | None = None


def order_of(networks: Mapping[str, Network], threads: int) -> dict[str, Any]:
    """Write the order for `PROGRAM`."""
    return {
        "threads": threads,
        "models": {
            name: {
                "path": str(network.path.absolute()),
                "outputs": list(network.outputs),
                "cut": None if network.cut is None else asdict(network.cut),
            }
            for name, network in networks.items()
        },
    }
