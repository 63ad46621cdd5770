"""Whose work comes next."""

from __future__ import annotations

import pytest

from ditto_avatar.face.ditto.scheduler import PRESSING_S, Backlog, Job, Kind

ANY_SIZE = (1, 2, 3, 4)


def backlog(*frames: int) -> Backlog[str]:
    """A device that is prepared for batches of so many frames, and for up to four clips."""
    return Backlog({Kind.CLIP: ANY_SIZE, Kind.FRAME: frames or ANY_SIZE})


def frame(owner: int, deadline: float) -> Job[str]:
    return Job(Kind.FRAME, owner, deadline, f"{owner}@{deadline}")


def test_nothing_waits_in_the_beginning() -> None:
    assert backlog().next_batch(0.0) == []


def test_the_earliest_deadlines_share_a_batch() -> None:
    waiting = backlog(1, 2, 3)
    for owner, deadline in ((1, 0.3), (2, 0.1), (3, 0.2), (1, 0.4)):
        waiting.add(frame(owner, deadline))
    assert [job.payload for job in waiting.next_batch(0.0)] == ["2@0.1", "3@0.2", "1@0.3"]
    assert [job.payload for job in waiting.next_batch(0.0)] == ["1@0.4"]


def test_a_batch_is_of_the_kind_that_is_due_first() -> None:
    waiting = backlog()
    waiting.add(frame(1, 0.2))
    waiting.add(Job(Kind.CLIP, 2, 0.1, "clip"))
    waiting.add(frame(3, 0.0))
    assert [job.kind for job in waiting.next_batch(0.0)] == [Kind.FRAME, Kind.FRAME]
    assert [job.payload for job in waiting.next_batch(0.0)] == ["clip"]


def test_a_viewer_far_ahead_waits_for_one_behind() -> None:
    waiting = backlog(1, 2)
    for index in range(10):
        waiting.add(frame(1, 5 + index / 25))
    waiting.add(frame(2, 0.5))
    assert waiting.next_batch(0.0)[0].owner == 2


def test_equal_deadlines_come_in_the_order_they_were_asked() -> None:
    waiting = backlog()
    for owner in (3, 1, 2):
        waiting.add(frame(owner, 1.0))
    assert [job.owner for job in waiting.next_batch(0.0)] == [3, 1, 2]


def test_a_viewer_who_left_is_forgotten() -> None:
    waiting = backlog()
    for owner in (1, 2, 1):
        waiting.add(frame(owner, 1.0))
    assert len(waiting.drop(1)) == 2
    assert [job.owner for job in waiting.next_batch(0.0)] == [2]
    assert len(waiting) == 0


def counts(waiting: Backlog[str], now: float = 0.0) -> list[int]:
    """The sizes of all batches."""
    found = []
    while batch := waiting.next_batch(now):
        found.append(len(batch))
    return found


@pytest.mark.parametrize(
    ("frames", "sizes"), [(10, [8, 1, 1]), (7, [4, 1, 1, 1]), (30, [16, 8, 4, 1, 1]), (2, [1, 1])]
)
def test_frames_are_taken_in_batches_that_need_no_filling_up(frames: int, sizes: list[int]) -> None:
    waiting = backlog(1, 4, 8, 16)
    for index in range(frames):
        waiting.add(frame(index, 1.0))
    assert counts(waiting) == sizes


def test_clips_are_taken_together_whatever_their_number() -> None:
    waiting: Backlog[str] = Backlog({Kind.CLIP: (1, 4, 16)})
    for index in range(19):
        waiting.add(Job(Kind.CLIP, index, 1.0, "clip"))
    assert counts(waiting) == [16, 3]


def test_the_fullest_batch_comes_first_while_nobody_is_late() -> None:
    waiting = backlog()
    waiting.add(Job(Kind.CLIP, 1, PRESSING_S + 0.1, "clip"))
    for index in range(3):
        waiting.add(frame(index, PRESSING_S + 0.2))
    assert [job.kind for job in waiting.next_batch(0.0)] == [Kind.FRAME] * 3
    waiting = backlog()
    waiting.add(Job(Kind.CLIP, 1, PRESSING_S - 0.1, "clip"))
    for index in range(3):
        waiting.add(frame(index, PRESSING_S + 0.2))
    assert [job.kind for job in waiting.next_batch(0.0)] == [Kind.CLIP]


def test_more_is_waited_for_until_a_batch_is_full_or_somebody_may_be_late() -> None:
    waiting = backlog()
    for index in range(3):
        waiting.add(frame(index, 1.0))
    assert waiting.patient(0.0)
    assert not waiting.patient(1.01 - PRESSING_S)
    waiting.add(frame(3, 1.0))
    assert not waiting.patient(0.0)
