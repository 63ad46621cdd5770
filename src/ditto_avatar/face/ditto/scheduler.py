"""Whose work comes next, when many viewers share one device.

Pure: jobs go in, batches come out. The earliest deadline decides what kind of work is done, and
the batch is filled with the next deadlines of that kind, of all viewers. As every frame
has its own deadline, a viewer that is ahead waits for one that is behind.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Generic, TypeVar

Payload = TypeVar("Payload")


class Kind(StrEnum):
    """What a device does for a viewer."""

    SOUND = "sound"
    CLIP = "clip"
    FRAME = "frame"


@dataclass(frozen=True, slots=True)
class Job(Generic[Payload]):
    """A piece of work: for whom, by when (seconds of the engine's clock), and what."""

    kind: Kind
    owner: int
    deadline: float
    payload: Payload


@dataclass(slots=True)
class Backlog(Generic[Payload]):
    """Jobs that wait. `limits` says how many of a kind fit into one batch."""

    limits: Mapping[Kind, int]
    _heaps: dict[Kind, list[tuple[float, int, Job[Payload]]]] = field(
        default_factory=lambda: {kind: [] for kind in Kind}
    )
    _order: count[int] = field(default_factory=count)

    def __len__(self) -> int:
        return sum(map(len, self._heaps.values()))

    def add(self, job: Job[Payload]) -> None:
        heapq.heappush(self._heaps[job.kind], (job.deadline, next(self._order), job))

    def next_batch(self) -> list[Job[Payload]]:
        """The jobs to do now, at most as many as fit; empty when nothing waits."""
        waiting = [heap for heap in self._heaps.values() if heap]
        if not waiting:
            return []
        heap = min(waiting, key=lambda candidate: candidate[0][:2])
        size = min(self.limits[heap[0][2].kind], len(heap))
        return [heapq.heappop(heap)[2] for _ in range(size)]

    def drop(self, owner: int) -> list[Job[Payload]]:
        """Forget the jobs of a viewer who has gone; returns them."""
        dropped = []
        for kind, heap in self._heaps.items():
            dropped += [entry[2] for entry in heap if entry[2].owner == owner]
            kept = [entry for entry in heap if entry[2].owner != owner]
            heapq.heapify(kept)
            self._heaps[kind] = kept
        return dropped
