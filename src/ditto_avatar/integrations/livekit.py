"""The avatar as a video generator of LiveKit Agents (extra `livekit`).

    generator = AvatarVideoGenerator(LiveAvatar(pack, face))
    sound = DataStreamAudioReceiver(room)
    runner = AvatarRunner(
        room, audio_recv=sound, video_gen=generator, options=generator.options
    )
    await runner.start()

The runner hands over the agent's sound, publishes picture and sound in step, and tells the agent
how far it was heard.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarOptions, VideoGenerator

from ditto_avatar.integrations.live_avatar import LiveAvatar, Shown
from ditto_avatar.media.clip import pcm16
from ditto_avatar.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ


class AvatarVideoGenerator(VideoGenerator):
    """Turn the sound of an agent into the pictures and the sound of an avatar. Belongs to the event
    loop; close it with `aclose`."""

    def __init__(self, avatar: LiveAvatar) -> None:
        self._avatar = avatar

    @property
    def options(self) -> AvatarOptions:
        """The sizes and rates that `AvatarRunner` asks for."""
        return AvatarOptions(
            video_width=self._avatar.avatar.width,
            video_height=self._avatar.avatar.height,
            video_fps=FRAME_RATE_HZ,
            audio_sample_rate=SAMPLE_RATE_HZ,
            audio_channels=1,
        )

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Speak a piece of sound, of any rate and number of channels, or end the utterance."""
        if isinstance(frame, AudioSegmentEnd):
            await self._avatar.end()
            return
        samples = np.frombuffer(frame.data, np.int16).astype(np.float32) / 32_768
        mono = samples.reshape(-1, frame.num_channels).mean(axis=1)
        await self._avatar.push(mono, frame.sample_rate)

    async def clear_buffer(self) -> None:
        """Stop speaking at once: the person interrupts."""
        await self._avatar.clear()

    async def aclose(self) -> None:
        """End the iteration."""
        await self._avatar.close()

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        """Yield pictures, each after its own sound, and the end of each utterance that was not
        interrupted."""
        async for shown in self._avatar:
            if shown.samples is not None:
                yield _sound(shown)
            yield self._picture(shown)
            if shown.last:
                yield AudioSegmentEnd()

    def _picture(self, shown: Shown) -> rtc.VideoFrame:
        pack = self._avatar.avatar
        data = shown.picture.tobytes()
        return rtc.VideoFrame(pack.width, pack.height, rtc.VideoBufferType.I420, data)


def _sound(shown: Shown) -> rtc.AudioFrame:
    assert shown.samples is not None
    return rtc.AudioFrame(pcm16(shown.samples), SAMPLE_RATE_HZ, 1, len(shown.samples))
