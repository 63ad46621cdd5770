"""Let workers draw: the face engine of a server that has none of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.fleet import Fleet, KnownWorker
from ditto_avatar.cluster.messages import DRAW, Sound, authorization
from ditto_avatar.errors import Busy, InvalidAvatar, Unavailable
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import EncodedFrame
from ditto_avatar.face.sound import checked_audio
from ditto_avatar.types import SAMPLES_PER_FRAME, Emotion, FloatArray, Phoneme, frames_for

log = logging.getLogger(__name__)

# Pictures that wait for the reader; then the worker waits.
_UNREAD = 50
# A worker that speaks and owes pictures for so long does not draw any more.
_STUCK_S = 5.0


class Lost(Exception):
    """The worker that drew is gone; another one may go on."""


@dataclass(slots=True)
class KeptSentence:
    """What was pushed of a sentence, and how many of its pictures have come."""

    sounds: list[Sound] = field(default_factory=list)
    closed: bool = False
    received: int = 0

    @property
    def frames(self) -> int:
        """Pictures that the sound so far asks for."""
        return frames_for(sum(len(sound.samples) for sound in self.sounds))

    def steps(self) -> list[pb.Up]:
        """Return the messages that bring what has no pictures yet."""
        skip = self.received * SAMPLES_PER_FRAME
        steps = []
        for sound in self.sounds:
            if skip < len(sound.samples):
                steps.append((sound.after(skip) if skip else sound).message())
            skip = max(0, skip - len(sound.samples))
        if self.closed:
            steps.append(pb.Up(flush=pb.Flush()))
        return steps


class RemoteEngine:
    """Draw at the workers of `fleet`. `on_lost` counts streams that went on at another one."""

    def __init__(
        self,
        fleet: Fleet,
        token: str | None,
        first: pb.Places,
        on_lost: Callable[[], object],
        place_s: float = 10.0,
    ) -> None:
        """With `place_s`, how long a stream waits for a place, and for another worker when its own
        was lost."""
        self.place_s = place_s
        self.name = first.engine
        self.fingerprint = first.fingerprint
        self.fleet = fleet
        self.token = token
        self.on_lost = on_lost
        self._streams: set[RemoteStream] = set()

    @classmethod
    async def connect(
        cls,
        addresses: Iterable[str],
        token: str | None,
        on_lost: Callable[[], object],
        first_s: float = 30.0,
        place_s: float = 10.0,
    ) -> RemoteEngine:
        """Find the workers. Raises `Unavailable` when none answers, `InvalidInput` for an address
        that is none."""
        fleet = Fleet(addresses, token, first_s)
        return cls(fleet, token, await fleet.open(), on_lost, place_s)

    @property
    def max_streams(self) -> int | None:
        """The places of all workers that speak."""
        return sum(worker.places.total for worker in self.fleet.workers if worker.places) or None

    @property
    def strained(self) -> bool:
        """Whether any worker draws with less than full quality."""
        return any(worker.places.strained for worker in self.fleet.workers if worker.places)

    async def prepare(self, avatar: Avatar) -> None:
        """Do nothing: workers prepare their avatars when they start."""

    async def open(self, avatar: Avatar, start_frame: int = 0) -> RemoteStream:
        """Begin a stream at the worker with the most free places. Raises `Busy` when none is free
        in time, `InvalidAvatar` when a worker has not this pack. Cancelling is safe."""
        stream = RemoteStream(self, avatar, start_frame, self._streams.discard)
        self._streams.add(stream)
        try:
            await stream.opened()
        except BaseException:
            await stream.cancel()
            raise
        return stream

    async def close(self) -> None:
        """Cancel what runs and stop watching the workers. Cancelling is safe: nothing goes on."""
        try:
            for stream in list(self._streams):
                await stream.cancel()
        finally:
            await self.fleet.close()


class RemoteStream:
    """See `face.base.FaceStream`; its pictures are encoded. What was pushed is kept until its
    pictures have come, so another worker can go on at the next one."""

    def __init__(
        self,
        engine: RemoteEngine,
        avatar: Avatar,
        start_frame: int,
        closed: Callable[[RemoteStream], object],
    ) -> None:
        self._engine = engine
        self._avatar = avatar
        self._start_frame = start_frame
        self._closed = closed
        self._kept: deque[KeptSentence] = deque()
        self._finished = False
        self._received = 0
        self._loop: Sequence[int] = ()
        self._loop_from = 0
        self._live: asyncio.Queue[pb.Up] | None = None
        self._owing = asyncio.Event()
        self._frames: asyncio.Queue[EncodedFrame | Exception | None] = asyncio.Queue(_UNREAD)
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
        self._send(sound.message())

    async def flush(self) -> None:
        """End the sentence."""
        if self._kept and not self._kept[-1].closed:
            self._kept[-1].closed = True
            self._owing.set()
            self._send(pb.Up(flush=pb.Flush()))

    async def finish(self) -> None:
        """End the stream."""
        await self.flush()
        self._finished = True
        self._owing.set()
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
            while not self._frames.empty():
                self._frames.get_nowait()
            self._frames.put_nowait(None)
            self._kept.clear()
            self._closed(self)

    async def __aiter__(self) -> AsyncIterator[EncodedFrame]:
        """Yield the pictures in order, each once."""
        while (frame := await self._frames.get()) is not None:
            if isinstance(frame, Exception):
                raise frame
            yield frame

    def _send(self, up: pb.Up) -> None:
        if self._live is not None:
            self._live.put_nowait(up)

    async def _run(self) -> None:
        """Draw at one worker after the other until all pictures have come."""
        lost: set[KnownWorker] = set()
        try:
            while True:
                worker = await self._place(lost)
                try:
                    await self._draw_at(worker)
                    break
                except Lost as error:
                    lost.add(worker)
                    if self._began.done():
                        log.warning("a stream goes on elsewhere: %s", error)
                        self._engine.on_lost()
        except Exception as error:
            # The border of the stream: its reader, or the one who opens it, gets the error.
            if not self._began.done():
                self._began.set_exception(error)
            else:
                await self._frames.put(error)
        else:
            await self._frames.put(None)

    async def _place(self, lost: set[KnownWorker]) -> KnownWorker:
        fleet = self._engine.fleet
        try:
            async with asyncio.timeout(self._engine.place_s):
                while (worker := fleet.choose(self._engine.fingerprint, lost)) is None:
                    await fleet.changed()
                    # Somebody who was lost and speaks again may draw again.
                    lost &= {one for one in lost if one.places is None}
        except TimeoutError as error:
            if not fleet.workers:
                raise Unavailable("No worker answers that could draw.") from error
            raise Busy("All workers are taken.") from error
        worker.opening += 1
        return worker

    async def _draw_at(self, worker: KnownWorker) -> None:
        """Draw what is left at `worker`. Raises `Lost`."""
        draw = worker.channel.stream_stream(DRAW, pb.Up.SerializeToString, pb.Pictures.FromString)
        call = draw(metadata=authorization(self._engine.token))
        self._live = asyncio.Queue()
        for up in self._opening():
            self._live.put_nowait(up)
        sending = asyncio.create_task(self._keep_sending(call, self._live))
        lost = asyncio.create_task(worker.lost.wait())
        try:
            while await self._receive(call, worker, lost):
                pass
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                raise InvalidAvatar(error.details() or "The worker cannot draw this.") from error
            raise Lost(f"{worker.address}: {error.code().name} {error.details()}") from error
        finally:
            self._live = None
            call.cancel()
            for task in (sending, lost):
                task.cancel()
            await asyncio.gather(sending, lost, return_exceptions=True)

    def _opening(self) -> Iterable[pb.Up]:
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

    async def _keep_sending(self, call: Any, steps: asyncio.Queue[pb.Up]) -> None:
        # What goes wrong here is seen by the task that reads.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                await call.write(await steps.get())

    async def _receive(self, call: Any, worker: KnownWorker, lost: asyncio.Task[bool]) -> bool:
        """Take one message; False at the end of the stream."""
        reading = asyncio.ensure_future(call.read())
        told: asyncio.Task[bool] | None = None
        try:
            while not reading.done():
                waiting: list[asyncio.Future[Any]] = [reading, lost]
                owing = (bool(self._kept) and self._kept[0].closed) or not self._loop
                if not owing:
                    self._owing.clear()
                    told = asyncio.create_task(self._owing.wait())
                    waiting.append(told)
                done, _ = await asyncio.wait(
                    waiting,
                    timeout=_STUCK_S if owing else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if told is not None:
                    told.cancel()
                if lost in done and reading not in done:
                    raise Lost(f"{worker.address} is silent")
                if not done:
                    raise Lost(f"{worker.address} owes pictures for {_STUCK_S:g} s")
        finally:
            reading.cancel()
            if told is not None:
                told.cancel()
        message = reading.result()
        if not isinstance(message, pb.Pictures):
            if not self._finished or self._kept:
                raise Lost(f"{worker.address} ended before all was drawn")
            return False
        await self._take(message)
        return True

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
        for position, idle_frame in enumerate(message.idle_frames, 1):
            fragments = tuple(message.fragments) if position == count else ()
            last = message.last and position == count
            frame = EncodedFrame.of(self._received, idle_frame, fragments, last=last)
            self._received += 1
            await self._frames.put(frame)
