"""Pipecat's own pipeline, in one process; no transport to people."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("pipecat", reason="the extra pipecat is not installed")

from pipecat.frames import frames
from pipecat.tests.utils import SleepFrame, run_test

from ditto_avatar.assembly import open_puppet
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.integrations.live_avatar import LiveAvatar
from ditto_avatar.integrations.pipecat import AvatarService


def tone(seconds: float) -> Any:
    samples = (np.sin(np.arange(int(24_000 * seconds)) / 20) * 15_000).astype(np.int16)
    return frames.TTSAudioRawFrame(samples.tobytes(), 24_000, 1)


async def test_the_sound_of_a_voice_comes_back_with_pictures(pack: Avatar) -> None:
    face = open_puppet()
    service = AvatarService(LiveAvatar(pack, face))
    sent = [tone(0.8), frames.TTSStoppedFrame(), SleepFrame(sleep=5)]
    down, _ = await run_test(service, frames_to_send=sent)
    sounds = [f for f in down if isinstance(f, frames.TTSAudioRawFrame)]
    pictures = [f for f in down if isinstance(f, frames.OutputImageRawFrame)]
    assert len(sounds) == 20
    assert {f.sample_rate for f in sounds} == {16_000}
    assert sum(f.sync_with_audio for f in pictures) == 20
    assert len(pictures) > 25
    assert all(len(f.image) == pack.width * pack.height * 3 for f in pictures)
    assert service.heard_s == pytest.approx(0.8)
    await face.close()


async def test_an_interruption_stops_it_and_says_how_much_was_heard(pack: Avatar) -> None:
    face = open_puppet()
    service = AvatarService(LiveAvatar(pack, face))
    sent = [tone(6.0), SleepFrame(sleep=1.6), frames.InterruptionFrame(), SleepFrame(sleep=0.5)]
    down, _ = await run_test(service, frames_to_send=sent)
    sounds = [f for f in down if isinstance(f, frames.TTSAudioRawFrame)]
    assert 0 < len(sounds) < 120
    assert service.heard_s == pytest.approx(len(sounds) * 0.04, abs=0.09)
    after = down[max(down.index(f) for f in sounds) + 1 :]
    assert any(isinstance(f, frames.OutputImageRawFrame) for f in after)
    await face.close()
