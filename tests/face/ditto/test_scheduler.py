"""Whose work comes next."""

from __future__ import annotations

from ditto_avatar.face.ditto.scheduler import Backlog, Job, Kind


def backlog(**limits: int) -> Backlog[str]:
    return Backlog({Kind.CLIP: limits.get("clip", 4), Kind.FRAME: limits.get("frame", 4)})


def frame(owner: int, deadline: float) -> Job[str]:
    return Job(Kind.FRAME, owner, deadline, f"{owner}@{deadline}")


def test_nothing_waits_in_the_beginning() -> None:
    assert backlog().next_batch() == []


def test_the_earliest_deadlines_share_a_batch() -> None:
    waiting = backlog(frame=3)
    for owner, deadline in ((1, 0.3), (2, 0.1), (3, 0.2), (1, 0.4)):
        waiting.add(frame(owner, deadline))
    assert [job.payload for job in waiting.next_batch()] == ["2@0.1", "3@0.2", "1@0.3"]
    assert [job.payload for job in waiting.next_batch()] == ["1@0.4"]


def test_a_batch_is_of_the_kind_that_is_due_first() -> None:
    waiting = backlog()
    waiting.add(frame(1, 0.2))
    waiting.add(Job(Kind.CLIP, 2, 0.1, "clip"))
    waiting.add(frame(3, 0.0))
    assert [job.kind for job in waiting.next_batch()] == [Kind.FRAME, Kind.FRAME]
    assert [job.payload for job in waiting.next_batch()] == ["clip"]


def test_a_viewer_far_ahead_waits_for_one_behind() -> None:
    waiting = backlog(frame=2)
    for index in range(10):
        waiting.add(frame(1, 5 + index / 25))
    waiting.add(frame(2, 0.5))
    assert waiting.next_batch()[0].owner == 2


def test_equal_deadlines_come_in_the_order_they_were_asked() -> None:
    waiting = backlog()
    for owner in (3, 1, 2):
        waiting.add(frame(owner, 1.0))
    assert [job.owner for job in waiting.next_batch()] == [3, 1, 2]


def test_a_viewer_who_left_is_forgotten() -> None:
    waiting = backlog()
    for owner in (1, 2, 1):
        waiting.add(frame(owner, 1.0))
    assert len(waiting.drop(1)) == 2
    assert [job.owner for job in waiting.next_batch()] == [2]
    assert len(waiting) == 0
