"""Whose work comes next, when many viewers share one device.

Pure: jobs go in, batches come out. While a deadline presses, the earliest one decides what kind of
work is done; else the kind whose batch is fullest, as a device does much of one kind quicker than a
little of each. A batch takes the next deadlines of its kind, of all viewers. As every frame has its
own deadline, a viewer that is ahead waits for one that is behind.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Generic, TypeVar

Payload = TypeVar("Payload")

# What a viewer's first frame has is less than this: nothing waits for others then.
PRESSING_S = 0.25
# A batch of four frames is as quick a frame as one of sixteen (459 and 469 a second on an H100).
QUICK_FRAMES = 4


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
    """Jobs that wait. `sizes` are the batches that the device is prepared for, smallest first.

    Frames cost the same in every batch, and a batch is filled up to a size: so they are taken in
    sizes that need no filling up. Clips and windows of sound cost little more in a large batch."""

    sizes: Mapping[Kind, Sequence[int]]
    _heaps: dict[Kind, list[tuple[float, int, Job[Payload]]]] = field(
        default_factory=lambda: {kind: [] for kind in Kind}
    )
    _order: count[int] = field(default_factory=count)

    def __len__(self) -> int:
        return sum(map(len, self._heaps.values()))

    def add(self, job: Job[Payload]) -> None:
        heapq.heappush(self._heaps[job.kind], (job.deadline, next(self._order), job))

    def patient(self, now: float) -> bool:
        """Whether more work may be waited for: no batch is full yet, and no deadline presses."""
        waiting = self._waiting()
        return not any(self._filled(kind) >= 1 for kind in waiting) and not self._presses(now)

    def next_batch(self, now: float) -> list[Job[Payload]]:
        """Take the jobs to do now, at most as many as fit; empty when nothing waits."""
        waiting = self._waiting()
        if not waiting:
            return []
        if self._presses(now):
            kind = min(waiting, key=self._earliest)
        else:
            kind = min(waiting, key=lambda each: (-self._filled(each), self._earliest(each)))
        heap = self._heaps[kind]
        return [heapq.heappop(heap)[2] for _ in range(self._size(kind))]

    def drop(self, owner: int) -> list[Job[Payload]]:
        """Forget the jobs of a viewer who has gone; returns them."""
        dropped = []
        for kind, heap in self._heaps.items():
            dropped += [entry[2] for entry in heap if entry[2].owner == owner]
            kept = [entry for entry in heap if entry[2].owner != owner]
            heapq.heapify(kept)
            self._heaps[kind] = kept
        return dropped

    def _waiting(self) -> list[Kind]:
        return [kind for kind, heap in self._heaps.items() if heap]

    def _earliest(self, kind: Kind) -> tuple[float, int]:
        return self._heaps[kind][0][:2]

    def _presses(self, now: float) -> bool:
        return any(self._earliest(kind)[0] < now + PRESSING_S for kind in self._waiting())

    def _filled(self, kind: Kind) -> float:
        """How full a batch would be; 1 and more is full."""
        largest = self.sizes[kind][-1]
        return len(self._heaps[kind]) / (
            min(largest, QUICK_FRAMES) if kind is Kind.FRAME else largest
        )

    def _size(self, kind: Kind) -> int:
        count, sizes = len(self._heaps[kind]), self.sizes[kind]
        if kind is not Kind.FRAME:
            return min(count, sizes[-1])
        return max((size for size in sizes if size <= count), default=count)
