"""How many streams one GPU holds at 25 frames a second: viewers played in real time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ditto_avatar.face.ditto.pipeline import ClipJob, Drawing, FrameJob, Pipeline, SourcePicture
from ditto_avatar.face.ditto.sampler import SeededNoise
from ditto_avatar.face.ditto.scheduler import Backlog, Job, Kind
from ditto_avatar.face.ditto.windows import ClipRequest

FRAME_S = 1 / 25
VALID = 10  # new frames a clip
AHEAD = 25  # frames that may be drawn before they are due
LEAD_S = 0.2  # between the first sound and the first frame
ON_TIME = 0.99
CANDIDATES = (8, 12, 16, 20, 24)


@dataclass(slots=True)
class Viewer:
    """One stream: when it began, how far its motion and its frames are."""

    number: int
    begins: float
    picture: SourcePicture
    noise: SeededNoise
    condition: Any
    clips: int = 0
    clip_waiting: bool = False
    asked: int = 0
    drawn: int = 0
    lateness: list[float] = field(default_factory=list)

    def due(self, frame: int) -> float:
        return self.begins + LEAD_S + frame * FRAME_S

    def jobs(self, now: float, end: int) -> list[Job[Any]]:
        """What can be asked for now."""
        found: list[Job[Any]] = []
        if now < self.begins:
            return found
        shown = int((now - self.begins - LEAD_S) / FRAME_S)
        # The first clip is not shown: clip k + 1 brings frames 10 k to 10 k + 9.
        known = max(self.clips - 1, 0) * VALID
        if not self.clip_waiting and known < end and known - shown < AHEAD:
            request = ClipRequest(self.condition, self.condition[0, :265], self.clips)
            job = Job(
                Kind.CLIP, self.number, self.due(known) - FRAME_S, ClipJob(request, self.noise)
            )
            found.append(job)
            self.clip_waiting = True
        while self.asked < min(known, end) and self.asked - shown < AHEAD:
            points = KEYPOINTS[self.asked % len(KEYPOINTS)]
            frame = FrameJob(self.picture, KEYPOINTS[0], points)
            found.append(Job(Kind.FRAME, self.number, self.due(self.asked), frame))
            self.asked += 1
        return found


RNG = np.random.default_rng(0)
REST = 0.3 * RNG.standard_normal((1, 21, 3))
KEYPOINTS = (REST + 0.02 * RNG.standard_normal((64, 21, 3))).astype(np.float32)


def play(
    pipeline: Pipeline, pictures: Sequence[SourcePicture], count: int, seconds: float
) -> list[float]:
    """How late each frame of `count` viewers was, in seconds; negative is early."""
    sizes = {
        Kind.CLIP: pipeline.runners.clip_batches,
        Kind.FRAME: pipeline.runners.batches,
    }
    backlog: Backlog[Any] = Backlog(sizes)
    end = int(seconds / FRAME_S)
    start = time.perf_counter() + 0.05
    viewers = [
        Viewer(
            number,
            start + VALID * FRAME_S * number / count,
            pictures[number % len(pictures)],
            SeededNoise(number, (80, 265), pipeline.runners.device),
            RNG.standard_normal((80, 1103)).astype(np.float32),
        )
        for number in range(count)
    ]
    flying: tuple[Drawing, list[Job[Any]]] | None = None
    while any(viewer.drawn < end for viewer in viewers):
        now = time.perf_counter()
        for viewer in viewers:
            for job in viewer.jobs(now, end):
                backlog.add(job)
        batch = backlog.next_batch(now)
        begun = None
        if batch and batch[0].kind is Kind.CLIP:
            pipeline.predict([job.payload for job in batch])
            for job in batch:
                viewers[job.owner].clips += 1
                viewers[job.owner].clip_waiting = False
        elif batch:
            begun = (pipeline.begin([job.payload for job in batch]), batch)
        if flying is not None:
            _arrive(flying, viewers)
        flying = begun
        if not batch and flying is None:
            time.sleep(0.0005)
    return [late for viewer in viewers for late in viewer.lateness]


def _arrive(flying: tuple[Drawing, list[Job[Any]]], viewers: Sequence[Viewer]) -> None:
    drawing, batch = flying
    drawing.frames()
    now = time.perf_counter()
    for job in batch:
        viewers[job.owner].drawn += 1
        viewers[job.owner].lateness.append(now - job.deadline)


def most_streams(
    pipeline: Pipeline,
    pictures: Sequence[SourcePicture],
    seconds: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The most viewers with 99 % of their frames on time, tried for `seconds` each, and how late
    frames were then."""
    best, lateness = 0, dict[str, float]()
    for count in CANDIDATES:
        short = play(pipeline, pictures, count, min(seconds, 5))
        if np.mean(np.array(short) <= 0) < ON_TIME:
            say(f"{count} viewers: too many")
            break
        best = count
    for count in range(best + 3, max(best - 4, 0), -1):
        late = np.array(play(pipeline, pictures, count, seconds))
        share = float(np.mean(late <= 0))
        say(f"{count} viewers for {seconds:.0f} s: {100 * share:.2f} % on time")
        if share >= ON_TIME:
            lateness = {
                f"p{percent}": 1000 * float(np.percentile(late, percent))
                for percent in (50, 90, 99, 100)
            }
            return {"streams": count, "lateness_ms": lateness}
    return {"streams": best, "lateness_ms": lateness}
