from __future__ import annotations

import asyncio
import gc
import io
import json
import sqlite3
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import av
import pytest

from ditto_avatar.errors import (
    InvalidInput,
    NotFound,
    RateLimited,
    SessionEnded,
    ShuttingDown,
    StorageFailed,
)
from ditto_avatar.media.fragments import Fragment
from ditto_avatar.pipeline import progress
from ditto_avatar.pipeline.cache import SegmentMedia
from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.pipeline.pipeline import Pipeline
from ditto_avatar.pipeline.request import Notify, TurnRequest
from ditto_avatar.pipeline.segment import Segment
from ditto_avatar.pipeline.sentence_audio import SentenceAudio
from ditto_avatar.pipeline.sound import SegmentSound
from ditto_avatar.session import turn_runner
from ditto_avatar.session.conversation import MESSAGE, SAY
from ditto_avatar.session.playback import PlaybackReport, PlaybackState
from ditto_avatar.session.session import Session
from ditto_avatar.session.stored import FINISHED, Held, StoredSession, StoredTurn, hash_token
from ditto_avatar.transport import events
from ditto_avatar.types import Emotion, Language, SpeechChunk, VideoFrame
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.clock import ManualClock
from tests.fakes.engines import LoudnessStream
from tests.worlds import Viewer, World, Worlds


def streamed(viewer: Viewer, segment: str) -> bytes:
    parts = [e for e in viewer.of(events.SegmentData) if e.segment == segment]
    assert [p.index for p in parts] == sorted(p.index for p in parts)
    return b"".join(part.data for part in parts)


def frames_in(data: bytes) -> int:
    with av.open(io.BytesIO(data), "r") as file:
        return sum(1 for _ in file.decode(video=0))


def exposition(world: World) -> str:
    return world.services.metrics.exposition().decode()


def open_work(world: World) -> int:
    """Iterators and streams that somebody still holds open."""
    return world.dialogue.open_replies + world.speech.open_sentences + world.face.open_streams


async def test_an_answer_comes_as_text_fragments_and_clips(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(MESSAGE, "Hello?", idle_frame=3)
        finished = await viewer.until(events.TurnFinished)
    assert finished.text == "Hello there. How are you today?"
    assert "".join(e.text for e in viewer.of(events.TextDelta)) == finished.text
    started = viewer.of(events.SegmentStarted)
    assert [e.text for e in started] == ["Hello there.", "How are you today?"]
    ready = viewer.of(events.VideoReady)
    assert [e.clip.index for e in ready] == [0, 1]
    for segment, clip in ((e.segment, e.clip) for e in ready):
        data = streamed(viewer, segment)
        assert frames_in(data) == round(clip.duration * 25)
        path = world.clips.find("video", f"{clip.name}.mp4")
        assert frames_in(path.read_bytes()) == round(clip.duration * 25)


async def test_the_next_sentence_is_asked_for_ahead_and_no_more_than_that(world: World) -> None:
    world.speech.gate = asyncio.Event()
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "This is the first. Here is a second. And then a third one.")
        await world.speech.heard_of("Here is a second.")
        # Everything that could still be asked for has had its chance.
        await viewer.until(events.SegmentStarted)
        assert world.speech.said == ["This is the first.", "Here is a second."]
        world.speech.gate.set()
        await viewer.until(events.TurnFinished)
    assert world.speech.said[2:] == ["And then a third one."]
    assert open_work(world) == 0


async def test_sentences_follow_one_another_frame_by_frame(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(MESSAGE, "Hello?", idle_frame=3)
        await viewer.until(events.TurnFinished)
    first, second = (ready.clip for ready in viewer.of(events.VideoReady))
    assert second.first_frame == (first.last_frame + 1) % session.avatar.frame_count
    started = viewer.of(events.SegmentStarted)
    assert [e.first_frame for e in started] == [first.first_frame, second.first_frame]


async def test_the_first_picture_continues_the_idle_loop_where_it_will_be(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.", idle_frame=20)
        started = await viewer.until(events.SegmentStarted)
    # 0.2 s until it is painted at first, and what it took to think and speak.
    assert 25 <= started.first_frame <= 40


async def test_say_speaks_the_text_without_asking_the_dialogue(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Just this.")
        await viewer.until(events.TurnFinished)
    assert world.speech.said == ["Just this."]
    assert world.dialogue.prompts == []


async def test_the_dialogue_knows_what_was_said_before(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(MESSAGE, "First?")
        await viewer.until(events.TurnFinished)
        await session.submit(MESSAGE, "Second?")
        await viewer.until(events.TurnFinished, 2)
    assert [m.text for m in world.dialogue.prompts[1].history] == [
        "First?",
        "Hello there. How are you today?",
        "Second?",
    ]


async def test_every_stage_of_the_waterfall_is_told_in_order(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(MESSAGE, "Hello?")
        timings = (await viewer.until(events.TurnFinished)).timings
    assert list(timings) == [
        "first_token",
        "first_sentence",
        "first_audio",
        "first_frame",
        "first_fragment",
        "finished",
    ]
    assert list(timings.values()) == sorted(timings.values())


@pytest.mark.parametrize("stage", ["thinking", "speaking", "drawing", "storing"])
async def test_an_interruption_at_any_stage_leaves_nothing_behind(world: World, stage: str) -> None:
    world.dialogue.answer = "One two three four five six seven. Eight nine ten."
    gate = asyncio.Event()
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        if stage == "thinking":
            world.dialogue.gate = gate
        elif stage == "storing":
            world.clips.gate = threading.Event()
        else:
            world.speech.gate = gate
        await session.submit(MESSAGE, "Hello?")
        if stage == "storing":
            assert await asyncio.to_thread(world.clips.begun.wait, 20)
        else:
            # What comes next waits at the gate.
            await viewer.until(events.TextDelta if stage != "drawing" else events.SegmentStarted)
        assert await session.interrupt()
        await viewer.until(events.TurnInterrupted)
        assert open_work(world) == 0
        gate.set()
        assert not await session.interrupt()
        if world.clips.gate is not None:
            # The thread cannot be stopped: what it still writes is removed behind it.
            world.clips.gate.set()
            assert await asyncio.to_thread(world.clips.removed.wait, 20)
    assert not viewer.of(events.TurnFinished)
    assert not list((world.data_dir / "clips").glob("*"))
    assert world.services.admission.speaking == 0


# What pictures and sound are kept in, from the engines to the clip.
MEDIA = (
    Fragment,
    SegmentMedia,
    Segment,
    SegmentSound,
    SentenceAudio,
    SpeechChunk,
    VideoFrame,
    LoudnessStream,
)


def media_alive() -> list[object]:
    gc.collect()
    return [thing for thing in gc.get_objects() if isinstance(thing, MEDIA)]


async def test_an_interrupted_turn_lets_go_of_its_pictures_and_its_sound(world: World) -> None:
    before = media_alive()  # kept, so that nothing of other tests goes away meanwhile
    world.speech.gate = asyncio.Event()
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        # The first sentence is complete, the second one is cut off, the third one waits.
        await session.submit(SAY, "Hi. This one is cut off in its middle. And this one waits.")
        await viewer.until(events.VideoReady)
        await viewer.until(events.SegmentStarted, 2)
        first = viewer.of(events.SegmentStarted)[0].segment
        await viewer.until(events.SegmentData, where=lambda e: e.segment != first)
        assert {Fragment, Segment, SegmentSound} <= {type(thing) for thing in media_alive()}
        assert await session.interrupt()
        await viewer.until(events.TurnInterrupted)
        await world.threads_rest()
        assert len(media_alive()) == len(before)


LATE = Clip("late", 0, "Late.", Emotion.NEUTRAL, 1.0, 0, 24)


class LatePipeline:
    """Hands over a clip in the moment in which it is cancelled."""

    def __init__(self, clips: Path) -> None:
        self._clips = clips

    async def run(self, request: TurnRequest, notify: Notify) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for suffix in (".mp4", ".wav"):
                (self._clips / f"late{suffix}").write_bytes(b"late")
            notify(progress.ClipStored("s", LATE))


async def test_a_clip_that_comes_after_the_end_of_its_turn_is_removed(world: World) -> None:
    folder = world.data_dir / "clips"
    folder.mkdir()
    late = cast(Pipeline, LatePipeline(folder))
    services = replace(world.services, pipeline=late)
    stored = StoredSession("s1", hash_token("token"), "oval", "en")
    await services.store.add_session(stored)
    session = Session(stored, "token", services)
    await session.submit(SAY, "Hi.")
    await asyncio.sleep(0)  # the pipeline begins
    await session.interrupt()
    await session.close("idle")
    assert world.clips.removed.is_set()
    assert not list(folder.iterdir())


async def test_a_clip_that_no_record_could_be_made_of_is_removed(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        world.clips.gate = threading.Event()
        turn = await session.submit(SAY, "Hi.")
        assert await asyncio.to_thread(world.clips.begun.wait, 20)
        with sqlite3.connect(world.data_dir / "conversations.db") as database:
            database.execute("ALTER TABLE clips RENAME TO away")
        world.clips.gate.set()
        failure = await viewer.until(events.Failure)
        await viewer.until(events.TurnFinished)
        assert await asyncio.to_thread(world.clips.removed.wait, 20)
    assert failure.code == "storage_failed"
    assert not viewer.of(events.VideoReady)
    assert not list((world.data_dir / "clips").glob("*"))
    told = await session.find_turn(turn)
    assert told is not None
    assert told.clips == ()


async def test_who_asks_after_a_turn_hears_that_it_is_over_when_its_clips_are_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await world.registry.open("me")
    add, settle = world.services.store.add_clip, session.conversation.settle
    writable, settled = asyncio.Event(), asyncio.Event()

    async def add_later(held: Held, turn_id: str, clip: Clip) -> None:
        await writable.wait()
        await add(held, turn_id, clip)

    def settle_and_tell(*arguments: Any, **named: Any) -> None:
        settle(*arguments, **named)
        settled.set()

    monkeypatch.setattr(world.services.store, "add_clip", add_later)
    monkeypatch.setattr(session.conversation, "settle", settle_and_tell)
    turn = await session.submit(SAY, "Hi.")
    async with asyncio.timeout(TEST_DEADLINE_S):
        await settled.wait()
        asking = asyncio.create_task(session.find_turn(turn))
        await asyncio.sleep(0)
        writable.set()
        told = await asking
    assert told is not None
    assert told.state == FINISHED
    assert [clip.text for clip in told.clips] == ["Hi."]


async def test_asking_again_interrupts_the_answer_in_progress(world: World) -> None:
    world.speech.gate = asyncio.Event()
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(MESSAGE, "First?")
        await viewer.until(events.SegmentStarted)
        second = await session.submit(SAY, "Hi.")
        world.speech.gate.set()
        finished = await viewer.until(events.TurnFinished)
    assert finished.turn == second
    kinds = [type(e) for e in viewer.events if hasattr(e, "turn")]
    cut = kinds.index(events.TurnInterrupted)
    after = viewer.events[viewer.events.index(viewer.of(events.TurnInterrupted)[0]) :]
    assert cut < len(kinds)
    assert all(e.generation >= 2 for e in after if isinstance(e, events.SegmentData))


async def test_the_history_keeps_what_was_heard_of_an_interrupted_answer(world: World) -> None:
    world.dialogue.answer = "One two three four five six seven eight."
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(MESSAGE, "Count?")
        ready = await viewer.until(events.VideoReady)
        await viewer.until(events.TurnFinished)
        session.playback(
            PlaybackReport(ready.segment, PlaybackState.PLAYING, ready.clip.duration / 2)
        )
        await session.interrupt()
        await session.submit(MESSAGE, "Go on?")
        await viewer.until(events.TurnFinished, 2)
    answer = world.dialogue.prompts[1].history[1]
    assert answer.text == "One two three four five six seven eight."
    assert answer.heard == "One two three four"


async def test_a_page_that_drops_what_it_plays_does_not_end_the_answer(world: World) -> None:
    world.dialogue.answer = "One two three four five six seven eight."
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(MESSAGE, "Count?")
        ready = await viewer.until(events.VideoReady)
        await viewer.until(events.TurnFinished)
        session.playback(
            PlaybackReport(ready.segment, PlaybackState.DROPPED, ready.clip.duration / 4)
        )
        assert await session.interrupt()
        await viewer.until(events.TurnInterrupted)
    entry = session.conversation.history()[-1]
    assert (entry.heard, entry.text) == ("One two", world.dialogue.answer)


async def test_what_a_page_drops_is_not_on_the_loudspeaker(open_world: Worlds) -> None:
    world = await open_world(transcription="server")
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Nobody should mistake this for a person.")
        ready = await viewer.until(events.VideoReady)
        session.playback(PlaybackReport(ready.segment, PlaybackState.PLAYING, 0.5))
        assert session.loudspeaker.spoken(0.0) == "Nobody should mistake this for a person."
        session.playback(PlaybackReport(ready.segment, PlaybackState.DROPPED, 0.5))
        assert session.loudspeaker.spoken(0.0) == ""


async def test_a_turns_record_has_what_the_page_reported_after_its_drawing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        turn = await session.submit(SAY, "Hi.")
        ready = await viewer.until(events.VideoReady)
        done = await viewer.until(events.TurnFinished)
        assert not viewer.of(events.TurnTimings)
        report = PlaybackReport(ready.segment, PlaybackState.PAINTED, 0.0, painted_after_s=0.7)
        session.playback(report)
        for drift_ms in (10.0, -70.0, 20.0):
            session.playback(
                PlaybackReport(ready.segment, PlaybackState.PLAYING, 0.1, drift_ms=drift_ms)
            )
        session.playback(PlaybackReport(ready.segment, PlaybackState.ENDED, ready.clip.duration))
        told = await viewer.until(events.TurnTimings)
    assert (told.turn, told.drift_ms) == (turn, -70.0)
    assert told.timings == {**done.timings, "first_painted": 700.0}
    (line,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("turn settled")]
    record = json.loads(line.removeprefix("turn settled "))
    assert (record["turn"], record["drift_ms"]) == (turn, -70.0)
    assert record["timings_ms"] == told.timings
    with sqlite3.connect(world.data_dir / "conversations.db") as database:
        ((kept,),) = database.execute("SELECT timings FROM turns").fetchall()
    assert json.loads(kept) == {**told.timings, "drift": -70.0}
    assert 'ditto_turns_total{kind="say",state="finished"} 1.0' in exposition(world)


async def test_only_reports_on_what_is_spoken_count_and_no_more_than_a_page_sends(
    world: World,
) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        ready = await viewer.until(events.VideoReady)
        for segment, reports in (("made up", 1_000), (ready.segment, 1_000)):
            for _ in range(reports):
                session.playback(
                    PlaybackReport(segment, PlaybackState.PLAYING, 0.1, drift_ms=60_000)
                )
        session.playback(PlaybackReport(ready.segment, PlaybackState.ENDED, ready.clip.duration))
        await viewer.until(events.TurnTimings)
    assert "ditto_av_drift_seconds_count 120.0" in exposition(world)


async def test_a_turn_that_is_interrupted_while_it_is_heard_counts_once(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        await viewer.until(events.TurnFinished)
        await session.interrupt()
        await viewer.until(events.TurnInterrupted)
    assert 'ditto_turns_total{kind="say",state="interrupted"} 1.0' in exposition(world)
    assert 'state="finished"' not in exposition(world)


async def test_a_report_about_an_older_answer_is_not_the_new_ones(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Old.")
        old = await viewer.until(events.VideoReady)
        new = await session.submit(SAY, "New.")
        report = PlaybackReport(old.segment, PlaybackState.PAINTED, 0.0, painted_after_s=9.0)
        session.playback(report)
        await viewer.until(events.VideoReady, 2)
    told = await session.find_turn(new)
    assert told is not None
    assert "first_painted" not in told.timings


@pytest.mark.parametrize("reported", ["ended", "playing", "dropped", "with its position"])
async def test_the_next_answer_continues_the_idle_loop_where_the_page_was_last(
    open_world: Worlds, reported: str
) -> None:
    world = await open_world(clock=ManualClock())
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "This takes its time to say.", idle_frame=0)
        ready = await viewer.until(events.VideoReady)
        ended = PlaybackReport(ready.segment, PlaybackState.ENDED, ready.clip.duration)
        report, expected = {
            "ended": (ended, ready.clip.last_frame + 1),
            "playing": (
                replace(ended, state=PlaybackState.PLAYING, seconds=0.2),
                ready.clip.first_frame + 5,
            ),
            "dropped": (
                replace(ended, state=PlaybackState.DROPPED, seconds=0.4),
                ready.clip.first_frame + 10,
            ),
            "with its position": (replace(ended, idle_frame=33.7), 33),
        }[reported]
        session.playback(report)
        await session.submit(SAY, "And on.")  # without a position, as a spoken question comes
        started = await viewer.until(events.SegmentStarted, 2)
    # 0.2 s until it is painted.
    assert started.first_frame == (expected + 5) % session.avatar.frame_count


@pytest.mark.parametrize(("waited_s", "delay_frames"), [(0.0, 15), (0.5, 2)])
async def test_what_a_page_waited_for_its_loop_makes_no_later_answer_wait(
    open_world: Worlds, waited_s: float, delay_frames: int
) -> None:
    world = await open_world(clock=ManualClock())
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        for turn in range(1, 21):
            await session.submit(SAY, "Hi.", idle_frame=0)
            ready = await viewer.until(events.VideoReady, turn)
            painted = PlaybackReport(
                ready.segment, PlaybackState.PAINTED, 0.0, painted_after_s=0.6, waited_s=waited_s
            )
            session.playback(painted)
            await session.interrupt()
        await session.submit(SAY, "Hi.", idle_frame=0)
        started = await viewer.until(events.SegmentStarted, 21)
    assert started.first_frame in (delay_frames - 1, delay_frames)


async def test_a_viewer_is_told_which_turn_is_still_running(world: World) -> None:
    world.dialogue.answer = "One two three. Four five six."
    world.dialogue.gate = asyncio.Event()
    session = await world.registry.open("me")
    async with world.viewer(session) as one:
        turn = await session.submit(MESSAGE, "Count?")
        await one.until(events.TextDelta)
        async with world.viewer(session) as two:
            during = await two.until(events.SessionReady)
            world.dialogue.gate.set()
            await two.until(events.TurnFinished)
    assert during.running_turn == turn
    assert during.history[-1].text == "One"
    seen = "".join(e.text for e in two.of(events.TextDelta))
    assert during.history[-1].text + seen == world.dialogue.answer
    async with world.viewer(session) as three:
        after = await three.until(events.SessionReady)
    assert after.running_turn is None


async def test_of_two_choices_at_once_the_later_one_is_stored(world: World) -> None:
    session = await world.registry.open("me")
    await session.keep()
    await asyncio.gather(
        session.choices.language(Language.KOREAN), session.choices.language(Language.ENGLISH)
    )
    with sqlite3.connect(world.data_dir / "conversations.db") as database:
        ((stored,),) = database.execute("SELECT language FROM sessions").fetchall()
    assert (session.language, stored) == (Language.ENGLISH, "en")


async def test_two_sessions_never_see_each_other(world: World) -> None:
    mine, yours = await world.registry.open("me"), await world.registry.open("you")
    async with world.viewer(mine) as my_view, world.viewer(yours) as your_view:
        await mine.submit(SAY, "Mine.")
        await yours.submit(SAY, "Yours.")
        await my_view.until(events.TurnFinished)
        await your_view.until(events.TurnFinished)
    assert {e.text for e in my_view.of(events.SegmentStarted)} == {"Mine."}
    assert {e.text for e in your_view.of(events.SegmentStarted)} == {"Yours."}


async def test_two_tabs_of_one_session_see_the_same(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as one, world.viewer(session, streams=False) as two:
        await session.submit(SAY, "Both.")
        await one.until(events.TurnFinished)
        await two.until(events.TurnFinished)
    assert len(one.of(events.VideoReady)) == len(two.of(events.VideoReady)) == 1
    assert one.of(events.SegmentData)
    assert not two.of(events.SegmentData)


async def test_a_viewer_that_returns_gets_what_it_missed(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        await viewer.until(events.TurnFinished)
    async with world.viewer(session, after=1) as again:
        await again.until(events.TurnFinished)
    ready = again.of(events.SessionReady)[0]
    assert (ready.resumed, ready.gap) == (True, False)
    missed = [e for e in viewer.events if e.logged][1:]
    assert [e for e in again.events if e.logged] == missed


async def test_a_viewer_with_a_number_from_another_life_begins_anew(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        await viewer.until(events.TurnFinished)
    async with world.viewer(session, after=999) as again:
        ready = await again.until(events.SessionReady)
    assert ready.gap
    assert [entry.text for entry in ready.history] == ["Hi."]


async def test_the_same_message_sent_twice_is_answered_once(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        first = await session.submit(SAY, "Hi.", client_id="c1")
        await viewer.until(events.TurnFinished)
        assert await session.submit(SAY, "Hi.", client_id="c1") == first
    assert len(viewer.of(events.TurnStarted)) == 1


async def test_a_viewer_that_asks_again_is_told_alone_how_the_answer_stands(world: World) -> None:
    world.speech.gate = asyncio.Event()
    session = await world.registry.open("me")
    async with world.viewer(session) as other, world.viewer(session) as asker:

        async def ask_again(client_id: str) -> list[events.Event]:
            seen, before = len(asker.events), len(asker.of(events.TurnStarted))
            await session.submit(SAY, "Hi.", client_id=client_id, asker=asker.outbox)
            await asker.until(events.TurnStarted, before + 1)
            asker.outbox.tell(events.Pong(0))
            await asker.until(events.Pong, len(asker.of(events.Pong)) + 1)
            return asker.events[seen:-1]

        first = await session.submit(SAY, "Hi.", client_id="c1")
        ready = await other.until(events.VideoReady)
        await other.until(events.TurnFinished)
        session.playback(PlaybackReport(ready.segment, PlaybackState.ENDED, ready.clip.duration))
        second = await session.submit(SAY, "A long one to interrupt.", client_id="c2")
        await other.until(events.SegmentStarted, 2)
        assert await ask_again("c2") == [
            events.TurnStarted(second, 2, SAY, "A long one to interrupt.", "c2")
        ]
        await session.interrupt()
        await asker.until(events.TurnInterrupted)
        assert await ask_again("c1") == [
            events.TurnStarted(first, 1, SAY, "Hi.", "c1"),
            events.TurnFinished(first, 1, "Hi.", {}),
        ]
        assert await ask_again("c2") == [
            events.TurnStarted(second, 2, SAY, "A long one to interrupt.", "c2"),
            events.TurnInterrupted(second, 2, "user"),
        ]
    assert [e.turn for e in other.of(events.TurnStarted)] == [first, second]


async def test_only_the_newest_question_that_a_killed_server_left_is_answered_later(
    open_world: Worlds,
) -> None:
    killed = await open_world()
    session = await killed.registry.open("me")
    await session.keep()
    for number in (1, 2):
        left = StoredTurn(f"t{number}", number, MESSAGE, f"{number}?", client_id=f"c{number}")
        await killed.services.store.add_turn(Held(session.id), left)
    await killed.services.store.close()

    world = await open_world()
    again = await world.registry.find(session.id, session.token)
    async with world.viewer(again) as viewer:
        await again.submit(MESSAGE, "1?", client_id="c1", asker=viewer.outbox)
        over = await viewer.until(events.TurnInterrupted)
        assert await again.submit(MESSAGE, "2?", client_id="c2", asker=viewer.outbox) == "t2"
        done = await viewer.until(events.TurnFinished)
    assert (over.turn, done.turn) == ("t1", "t2")
    assert [m.text for m in world.dialogue.prompts[0].history] == ["1?", "2?"]
    await again.close("idle")
    kept = await world.services.store.session(session.id)
    assert kept is not None
    assert [turn.answer for turn in kept.turns] == ["", done.text]


@pytest.mark.parametrize("text", ["", "   ", "\x00\x01", "\n\t\n", "\u200b"])
async def test_text_with_nothing_in_it_is_refused(world: World, text: str) -> None:
    session = await world.registry.open("me")
    with pytest.raises(InvalidInput, match="empty"):
        await session.submit(MESSAGE, text)


async def test_text_that_is_too_long_is_refused_with_both_numbers(world: World) -> None:
    session = await world.registry.open("me")
    with pytest.raises(InvalidInput, match=r"20,000 characters; at most 4,000"):
        await session.submit(MESSAGE, "a" * 20_000)


async def test_control_characters_are_taken_out(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi\x00 you\x1b.")
        started = await viewer.until(events.TurnStarted)
        await viewer.until(events.TurnFinished)
    assert started.text == "Hi you."


async def test_an_answer_without_anything_to_say_just_finishes(world: World) -> None:
    world.dialogue.answer = "🙂"
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(MESSAGE, "Hello?")
        finished = await viewer.until(events.TurnFinished)
    assert finished.text == "🙂"
    assert not viewer.of(events.SegmentStarted)


async def test_a_language_model_that_breaks_off_is_told_and_the_session_lives_on(
    world: World,
) -> None:
    world.dialogue.fails = True
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(MESSAGE, "Hello?")
        failure = await viewer.until(events.Failure)
        interrupted = await viewer.until(events.TurnInterrupted)
        world.dialogue.fails = False
        await session.submit(MESSAGE, "Again?")
        await viewer.until(events.TurnFinished)
    assert open_work(world) == 0
    assert (failure.code, interrupted.reason) == ("provider_failed", "error")
    assert "broke off" in failure.message


async def test_a_full_disk_loses_the_replay_only(world: World) -> None:
    (world.data_dir / "clips").write_text("no folder can be made here")
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        failure = await viewer.until(events.Failure)
        await viewer.until(events.TurnFinished)
    assert failure.code == "storage_full"
    assert 'ditto_errors_total{code="storage_full"} 1.0' in exposition(world)
    assert streamed(viewer, viewer.of(events.SegmentStarted)[0].segment)


async def test_too_many_messages_in_a_minute_are_refused(open_world: Worlds) -> None:
    world = await open_world(turns_per_minute=2)
    session = await world.registry.open("me")
    for _ in range(2):
        await session.submit(SAY, "Hi.")
    with pytest.raises(RateLimited):
        await session.submit(SAY, "Hi.")


async def test_a_turn_beyond_the_places_waits_in_line(open_world: Worlds) -> None:
    world = await open_world(places=1)
    world.speech.gate = asyncio.Event()
    first, second = await world.registry.open("a"), await world.registry.open("b")
    async with world.viewer(first) as one, world.viewer(second) as two:
        await first.submit(SAY, "A long first sentence.")
        await one.until(events.SegmentStarted)
        await second.submit(SAY, "Hi.")
        position = await two.until(events.QueuePosition)
        assert position.position == 1
        world.speech.gate.set()
        await two.until(events.TurnFinished)
    assert [e.position for e in two.of(events.QueuePosition)] == [1, 0]


async def test_a_turn_beyond_the_line_is_refused_at_once(open_world: Worlds) -> None:
    world = await open_world(places=1, max_waiting=0)
    world.speech.gate = asyncio.Event()
    first, second = await world.registry.open("a"), await world.registry.open("b")
    async with world.viewer(first) as one, world.viewer(second) as two:
        await first.submit(SAY, "A long first sentence.")
        await one.until(events.SegmentStarted)
        await second.submit(SAY, "Hi.")
        failure = await two.until(events.Failure)
        await two.until(events.TurnInterrupted)
    assert failure.code == "busy"


async def test_presenter_and_language_can_be_changed(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.choices.language(Language.KOREAN)
        await viewer.until(events.LanguageSelected)
        await session.submit(MESSAGE, "Hello?")
        await viewer.until(events.TurnFinished)
        with pytest.raises(NotFound):
            await session.choices.avatar("nobody")
    assert world.dialogue.prompts[0].language is Language.KOREAN


async def test_a_session_is_free_as_soon_as_all_was_heard(open_world: Worlds) -> None:
    # On this clock the end of a playback that nobody reports never comes.
    world: World = await open_world(clock=ManualClock())
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        ready = await viewer.until(events.VideoReady)
        await viewer.until(events.TurnFinished)
        session.playback(PlaybackReport(ready.segment, PlaybackState.ENDED, ready.clip.duration))
        await session.close("idle", grace_s=TEST_DEADLINE_S)
    assert not viewer.of(events.TurnInterrupted)


async def test_a_failed_turn_is_counted_and_logged_once_with_its_reason(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.dialogue.fails = True
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        turn = await session.submit(MESSAGE, "My secret question?")
        await viewer.until(events.TurnInterrupted)
    await session.close("idle")
    lines = [r.getMessage() for r in caplog.records if "failed" in r.getMessage()]
    assert len(lines) == 1
    assert turn in lines[0]
    assert "provider_failed" in lines[0]
    assert "secret" not in caplog.text
    assert 'ditto_errors_total{code="provider_failed"} 1.0' in exposition(world)
    kept = await world.services.store.session(session.id)
    assert kept is not None
    assert (kept.turns[0].state, kept.turns[0].reason) == ("interrupted", "provider_failed")


async def test_a_choice_that_cannot_be_stored_is_not_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await world.registry.open("me")
    await session.keep()

    async def fails(session_id: str, **values: str) -> None:
        raise StorageFailed("The database does not answer.")

    monkeypatch.setattr(world.services.store, "update_session", fails)
    with pytest.raises(StorageFailed):
        await session.choices.language(Language.KOREAN)
    assert session.language is Language.ENGLISH


@pytest.mark.parametrize(("reason", "kind"), [("idle", SessionEnded), ("shutdown", ShuttingDown)])
async def test_a_closed_session_says_why_it_takes_nothing(
    world: World, reason: str, kind: type[Exception]
) -> None:
    session = await world.registry.open("me")
    await session.close(reason)
    with pytest.raises(kind):
        await session.submit(SAY, "Hi.")


async def test_a_turn_whose_engine_does_not_stop_holds_up_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(turn_runner, "_STOP_S", 0.05)
    stuck = asyncio.Event()

    class StuckPipeline:
        async def run(self, request: TurnRequest, notify: Notify) -> None:
            while not stuck.is_set():
                with suppress(asyncio.CancelledError):
                    await stuck.wait()

    services = replace(world.services, pipeline=cast(Pipeline, StuckPipeline()))
    stored = StoredSession("s1", hash_token("token"), "oval", "en")
    session = Session(stored, "token", services, is_new=True)
    await session.submit(SAY, "Hi.")
    await asyncio.sleep(0)
    assert await session.interrupt()
    assert "still runs" in caplog.text
    assert 'ditto_errors_total{code="stuck"} 1.0' in exposition(world)
    stuck.set()
    await session.close("idle")


async def test_an_answer_that_nobody_watches_gives_its_place_to_a_watched_one(
    open_world: Worlds,
) -> None:
    clock = ManualClock()
    world = await open_world(places=1, clock=clock)
    world.dialogue.gate = asyncio.Event()
    first, second = await world.registry.open("a"), await world.registry.open("b")
    async with world.viewer(first) as left:
        turn = await first.submit(MESSAGE, "Hello?")
        await left.until(events.TextDelta)
    clock.advance(11)
    async with world.viewer(second) as viewer:
        await second.submit(SAY, "Hi.")
        await viewer.until(events.TurnFinished)
    told = await first.find_turn(turn)
    assert told is not None
    assert told.state == "interrupted"
