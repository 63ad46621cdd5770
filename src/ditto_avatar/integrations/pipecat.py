"""The avatar as a service of Pipecat (extra `pipecat`).

    Pipeline([transport.input(), stt, llm, tts, AvatarService(LiveAvatar(pack, face)),
              transport.output()])

It stands behind the text-to-speech service: takes its sound, and pushes pictures with the same
sound, in step. The transport needs `video_out_enabled`, the avatar's size and `video_out_is_live`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import cv2
import numpy as np
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from ditto_avatar.integrations.live_avatar import LiveAvatar, Shown
from ditto_avatar.media.clip import pcm16
from ditto_avatar.types import SAMPLE_RATE_HZ


class AvatarService(FrameProcessor):
    """Draw an avatar for the sound of a text-to-speech service. Closes the avatar with the
    pipeline; its face stays the caller's."""

    def __init__(self, avatar: LiveAvatar, **options: Any) -> None:
        super().__init__(**options)
        self._avatar = avatar
        self._showing: asyncio.Task[None] | None = None
        self.heard_s = 0.0
        """Seconds of the last utterance that went to the transport; less than all of it where it
        was interrupted."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take sound and interruptions; pass on everything else. Called by Pipecat."""
        await super().process_frame(frame, direction)
        if isinstance(frame, StartFrame):
            await self.push_frame(frame, direction)
            self._showing = self.create_task(self._show())
            return
        if isinstance(frame, TTSAudioRawFrame):
            samples = np.frombuffer(frame.audio, np.int16).astype(np.float32) / 32_768
            mono = samples.reshape(-1, frame.num_channels).mean(axis=1)
            await self._avatar.push(mono, frame.sample_rate)
            return
        if isinstance(frame, TTSStoppedFrame):
            await self._avatar.end()
        elif isinstance(frame, InterruptionFrame):
            self.heard_s = await self._avatar.clear() or self.heard_s
        elif isinstance(frame, EndFrame):
            # It follows what was to be spoken.
            await self._avatar.end()
            await self._avatar.spoken()
            await self._stop()
        elif isinstance(frame, CancelFrame):
            await self._stop()
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Free everything. Called by Pipecat at the end."""
        await super().cleanup()
        await self._stop()

    async def _stop(self) -> None:
        await self._avatar.close()
        showing, self._showing = self._showing, None
        if showing is not None:
            await self.cancel_task(showing)

    async def _show(self) -> None:
        async for shown in self._avatar:
            if shown.samples is not None:
                self.heard_s = self._avatar.position_s
                sound = pcm16(shown.samples)
                await self.push_frame(TTSAudioRawFrame(sound, SAMPLE_RATE_HZ, 1))
            await self.push_frame(self._picture(shown))

    def _picture(self, shown: Shown) -> OutputImageRawFrame:
        pack = self._avatar.avatar
        rgb = cv2.cvtColor(shown.picture, cv2.COLOR_YUV2RGB_I420)
        image = OutputImageRawFrame(rgb.tobytes(), (pack.width, pack.height), "RGB")
        image.sync_with_audio = shown.samples is not None
        return image
