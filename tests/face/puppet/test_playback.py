"""Motion that is recorded and played again."""

from __future__ import annotations

import numpy as np

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.puppet.arkit import INDEX
from ditto_avatar.face.puppet.engine import PuppetEngine
from ditto_avatar.face.puppet.motion import MotionTrack
from ditto_avatar.face.puppet.playback import MotionRecorder
from ditto_avatar.types import SpeechChunk, VideoFrame, frames_for


async def performed(engine: PuppetEngine, avatar: Avatar, pushed: SpeechChunk) -> list[VideoFrame]:
    stream = await engine.open(avatar)
    await stream.push(pushed.samples, pushed.phonemes)
    await stream.finish()
    return [frame async for frame in stream]


def test_a_recording_covers_the_sound(speech: SpeechChunk) -> None:
    recorder = MotionRecorder()
    recorder.push(speech)
    track = recorder.finish()
    assert len(track) == frames_for(len(speech.samples))
    assert track.weights[:, INDEX["jawOpen"]].max() > 0.2
    assert not track.weights[:3].any()


def test_nothing_said_is_an_empty_track() -> None:
    assert len(MotionRecorder().finish()) == 0


async def test_a_played_recording_shows_the_same_pictures(
    engine: PuppetEngine, oval: Avatar, speech: SpeechChunk
) -> None:
    recorder = MotionRecorder()
    recorder.push(speech)
    track = recorder.finish()
    player = PuppetEngine(workers=1, motion=track)
    silence = SpeechChunk(np.zeros(len(track) * 640, np.float32))
    played = await performed(player, oval, silence)
    await player.close()
    spoken = await performed(engine, oval, speech)
    assert len(played) == len(spoken)
    assert all(np.array_equal(a.yuv, b.yuv) for a, b in zip(played, spoken, strict=True))


async def test_after_the_track_the_face_rests(oval: Avatar) -> None:
    weights = np.zeros((2, 52), np.float32)
    weights[:, INDEX["jawOpen"]] = 0.6
    player = PuppetEngine(workers=1, motion=MotionTrack(weights, np.zeros((2, 3), np.float32)))
    frames = await performed(player, oval, SpeechChunk(np.zeros(3 * 640 + 5, np.float32)))
    await player.close()
    changed = [not np.array_equal(f.yuv, oval.idle_frames[f.idle_frame]) for f in frames]
    assert changed == [True, True, False, False]
