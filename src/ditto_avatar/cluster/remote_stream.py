"""One face stream that workers draw, one after the other where one is lost."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import grpc
import grpc.aio

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.fleet import KnownWorker
from ditto_avatar.cluster.kept import KeptSentence, Step
from ditto_avatar.cluster.messages import DRAW, Sound, authorization
from ditto_avatar.cluster.placing import Placing
from ditto_avatar.cluster.sending import keep_sending
from ditto_avatar.cluster.watchdog import Lost, Watchdog
from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import EncodedFrame
from ditto_avatar.face.sound import checked_audio
from ditto_avatar.types import Emotion, FloatArray, Phoneme

log = logging.getLogger(__name__)

# Messages that wait for the reader, a second of pictures each at most; then the worker waits.
_UNREAD = 2
# A worker that speaks and owes pictures for so long does not draw any more.
_STUCK_S = 5.0

Batch = tuple[EncodedFrame, ...]


class RemoteStream:
    """See `face.base.FaceStream`; its pictures are encoded. What was pushed is kept until its
    pictures have come, so another worker can go on at the next one."""

    def __init__(
        self,
        placing: Placing,
        avatar: Avatar,
        start_frame: int,
        closed: Callable[[RemoteStream], object],
    ) -> None:
        self._placing = placing
        self._avatar = avatar
        self._start_frame = start_frame
        self._closed = closed
        self._kept: deque[KeptSentence] = deque()
        self._finished = False
        self._received = 0
        self._loop: Sequence[int] = ()
        self._loop_from = 0
        self._live: asyncio.Queue[Step] | None = None
        self._watchdog: Watchdog | None = None
        self._batches: asyncio.Queue[Batch | Exception | None] = asyncio.Queue(_UNREAD)
        self._began: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name="remote stream")

    async def opened(self) -> None:
        """Wait until a worker has taken the stream."""
        await asyncio.shield(self._began)

    async def push(
        self,
        audio: FloatArray,
        phonemes: Sequence[Phoneme] = (),
        emotion: Emotion = Emotion.NEUTRAL,
        intensity: float = 1.0,
    ) -> None:
        """Keep the sound and send it. It never waits: the pipeline has two sentences at most."""
        sound = Sound(checked_audio(audio), tuple(phonemes), emotion, intensity)
        if not self._kept or self._kept[-1].closed:
            self._kept.append(KeptSentence())
        self._kept[-1].sounds.append(sound)
        self._send(sound)

    async def flush(self) -> None:
        """End the sentence."""
        if self._kept and not self._kept[-1].closed:
            if not self._owing() and self._watchdog is not None:
                self._watchdog.restart()
            self._kept[-1].closed = True
            self._send(pb.Up(flush=pb.Flush()))

    async def finish(self) -> None:
        """End the stream."""
        await self.flush()
        self._finished = True
        self._send(pb.Up(finish=pb.Finish()))

    def idle_frame(self, index: int) -> int:
        """The idle frame of picture `index`, as the worker counts."""
        return self._loop[(index - self._loop_from) % len(self._loop)]

    async def cancel(self) -> None:
        """End the call; the worker stops drawing. Cancelling is safe: it ends all the same."""
        self._task.cancel()
        try:
            await asyncio.wait([self._task])
        finally:
            if not self._began.done():
                self._began.cancel()
            while not self._batches.empty():
                self._batches.get_nowait()
            self._batches.put_nowait(None)
            self._kept.clear()
            self._closed(self)

    async def __aiter__(self) -> AsyncIterator[EncodedFrame]:
        """Yield the pictures in order, each once."""
        while (batch := await self._batches.get()) is not None:
            if isinstance(batch, Exception):
                raise batch
            for frame in batch:
                yield frame

    def _send(self, step: Step) -> None:
        if self._live is not None:
            self._live.put_nowait(step)

    def _owing(self) -> bool:
        """Whether the worker owes something: its first answer, or the rest of a sentence."""
        return not self._loop or (bool(self._kept) and self._kept[0].closed)

    async def _run(self) -> None:
        """Draw at one worker after the other until all pictures have come."""
        lost: set[KnownWorker] = set()
        try:
            while True:
                worker = await self._placing.place(self._avatar.fingerprint, lost)
                try:
                    await self._draw_at(worker)
                    break
                except Lost as error:
                    lost.add(worker)
                    if self._began.done():
                        log.warning("a stream goes on elsewhere: %s", error)
                        self._placing.on_lost()
        except Exception as error:
            # The border of the stream: its reader, or the one who opens it, gets the error.
            if not self._began.done():
                self._began.set_exception(error)
            else:
                await self._batches.put(error)
        else:
            await self._batches.put(None)

    async def _draw_at(self, worker: KnownWorker) -> None:
        """Draw what is left at `worker`, which gets the pack first where it lacks it. Raises
        `Lost`."""
        carrier = self._placing.carrier
        if not worker.has(self._avatar.fingerprint):
            await carrier.bring(worker, self._avatar)
        try:
            try:
                await self._call(worker)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                # It let go of the pack a moment ago.
                await carrier.bring(worker, self._avatar)
                await self._call(worker)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                raise InvalidAvatar(error.details() or "The worker cannot draw this.") from error
            raise Lost(f"{worker.address}: {error.code().name} {error.details()}") from error

    async def _call(self, worker: KnownWorker) -> None:
        draw = worker.channel.stream_stream(DRAW, pb.Up.SerializeToString, pb.Pictures.FromString)
        call: Any = draw(metadata=authorization(self._placing.token))
        self._live = asyncio.Queue()
        for step in self._opening():
            self._live.put_nowait(step)
        sending = asyncio.create_task(keep_sending(call, self._live))
        try:
            with Watchdog(worker, call, self._owing, _STUCK_S) as self._watchdog:
                await self._read(call, self._watchdog)
        finally:
            self._live = self._watchdog = None
            call.cancel()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        if not self._finished or self._kept:
            raise Lost(f"{worker.address} ended before all was drawn")

    async def _read(self, call: Any, watchdog: Watchdog) -> None:
        try:
            while isinstance(message := await call.read(), pb.Pictures):
                watchdog.pause()
                await self._take(message)
                watchdog.restart()
        except asyncio.CancelledError:
            watchdog.check()
            raise

    def _opening(self) -> Iterator[Step]:
        current = self._kept[0] if self._kept else KeptSentence()
        start = self.idle_frame(self._received) if self._loop else self._start_frame
        yield pb.Up(
            open=pb.Open(
                avatar=self._avatar.name,
                digest=self._avatar.fingerprint,
                start_frame=start,
                pictures_before=current.received,
            )
        )
        for sentence in self._kept:
            yield from sentence.steps()
        if self._finished:
            yield pb.Up(finish=pb.Finish())

    async def _take(self, message: pb.Pictures) -> None:
        if message.loop:
            self._loop, self._loop_from = tuple(message.loop), self._received
            if not self._began.done():
                self._began.set_result(None)
            return
        count = len(message.idle_frames)
        self._kept[0].received += count
        if message.last:
            self._kept.popleft()
        fragments = tuple(message.fragments)
        batch = tuple(
            EncodedFrame.of(
                self._received + position,
                idle_frame,
                fragments if position == count - 1 else (),
                last=message.last and position == count - 1,
            )
            for position, idle_frame in enumerate(message.idle_frames)
        )
        self._received += count
        await self._batches.put(batch)
