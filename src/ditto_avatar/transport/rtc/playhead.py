"""Decide what a viewer is sent at each tick: no I/O, no clock.

A sentence begins on a tick that has a picture, once enough pictures lie ready. From then on each
picture goes with its own 40 ms of sound. Where pictures are missing, or ticks were left out, the
rest of the segment moves back: its place in RTP time is told anew.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ditto_avatar.media.encode import EncodedPicture
from ditto_avatar.media.opus import silent_packet
from ditto_avatar.media.packets import SOUNDS_PER_PICTURE, SegmentPackets
from ditto_avatar.transport.rtc.ticks import TICKS_PER_PICTURE


@dataclass(frozen=True, slots=True)
class Placed:
    """Picture `frame` of `segment` goes out at `tick`, and those after it follow. `frames` is how
    many there are, None as long as nobody knows."""

    segment: str
    frame: int
    tick: int
    frames: int | None


@dataclass(frozen=True, slots=True)
class Sending:
    """What goes out at one tick: a packet of sound, mostly silence; a picture on every second tick
    while there is one; and what the viewer has to know of the segment."""

    sound: bytes
    picture: EncodedPicture | None = None
    placed: Placed | None = None


@dataclass(frozen=True, slots=True)
class BridgeWanted:
    """A decoder has to be let in at picture `at` of these pictures."""

    pictures: Sequence[EncodedPicture]
    at: int


# A bridge takes some 50 ms to be made.
_BRIDGE_AHEAD = 4
# One asks again and again until it has its key picture.
_KEY_PAUSE_TICKS = 25
# After gaps: half a second of pictures.
_MOST_NEEDED = 12


class Playhead:
    """Play segments one after the other, and the idle loop in between where it is wanted.

    `start_frames` pictures must lie ready before a sentence begins; more of them after sentences
    with gaps, until there are none again. `idle_ticks` is how long the
    idle loop is sent when nothing is spoken, counted from the first tick; None for always.
    """

    def __init__(self, *, start_frames: int = 1, idle_ticks: int | None = 0) -> None:
        self.underruns = 0
        """How often a picture was missing in the middle of a sentence."""
        self._start_frames = start_frames
        self._idle_ticks = idle_ticks
        self._idle: Sequence[EncodedPicture] = ()
        self._idle_at = 0
        self._waiting: deque[SegmentPackets] = deque()
        self._playing: SegmentPackets | None = None
        self._sounded = 0
        self._waits = False
        self._starved = False
        self._needed = start_frames
        self._gaps = False
        self._told: Placed | None = None
        self._bridged: dict[int, EncodedPicture] = {}
        self._asked_at: int | None = None
        self._tick = -1
        self._idle_until = 0

    @property
    def speaking(self) -> bool:
        """Whether a segment is playing."""
        return self._playing is not None

    def loop(self, pictures: Sequence[EncodedPicture], frame: int = 0) -> None:
        """Have these pictures as the idle loop from now on, beginning at key picture `frame` or
        the next one after it."""
        self._idle = pictures
        self._idle_at = self._next_key(frame)
        if self._idle_ticks is not None:
            self._idle_until = self._tick + 1 + self._idle_ticks

    def expect(self, packets: SegmentPackets) -> None:
        """Play `packets` after what was expected before."""
        self._waiting.append(packets)

    def clear(self) -> None:
        """Play nothing of what was expected so far: the answer was interrupted."""
        self._waiting.clear()
        self._leave()

    def key_wanted(self) -> BridgeWanted | None:
        """Take a viewer's wish for a key picture; return the bridge that answers it, if the next
        key picture is not near. At most one each half second."""
        if self._asked_at is not None and self._tick - self._asked_at < _KEY_PAUSE_TICKS:
            return None
        if self._playing is None:
            return None  # the first picture of a sentence is one
        at = self._sounded // SOUNDS_PER_PICTURE + _BRIDGE_AHEAD
        pictures = self._playing.pictures[: len(self._playing)]
        if at >= len(pictures) or any(p.key for p in pictures[at - _BRIDGE_AHEAD : at + 1]):
            return None
        self._asked_at = self._tick
        return BridgeWanted(pictures, at)

    def cross(self, wanted: BridgeWanted, made: Mapping[int, EncodedPicture]) -> bool:
        """Use a bridge; False where it came too late, or for another segment."""
        playing = self._playing
        in_time = self._sounded < SOUNDS_PER_PICTURE * wanted.at
        if playing is None or not in_time or playing.pictures[0] is not wanted.pictures[0]:
            return False
        self._bridged = dict(made)
        return True

    def tick(self, number: int) -> Sending:
        """Return what goes out at tick `number`."""
        skipped = number != self._tick + 1
        self._tick = number
        on_picture = number % TICKS_PER_PICTURE == 0
        if on_picture and self._playing is None:
            self._begin()
        packets = self._playing
        if packets is None:
            return Sending(silent_packet(), self._idle_picture() if on_picture else None)
        if skipped and self._sounded:
            # A picture whose sound was cut is over.
            self._sounded += self._sounded % SOUNDS_PER_PICTURE
            self._waits = True
        return self._speak(packets, on_picture)

    def _speak(self, packets: SegmentPackets, on_picture: bool) -> Sending:
        frame, half = divmod(self._sounded, SOUNDS_PER_PICTURE)
        if half == 0 and not on_picture:
            return Sending(silent_packet())
        if half == 0 and self._lacks(packets, frame):
            if packets.complete:
                self._leave()
                return self._after()
            return Sending(silent_packet())
        sound = packets.sound(self._sounded)
        self._sounded += 1
        if half:
            return Sending(sound)
        placed = self._place(packets, frame)
        return Sending(sound, self._bridged.pop(frame, packets.pictures[frame]), placed)

    def _lacks(self, packets: SegmentPackets, frame: int) -> bool:
        """Whether picture `frame` cannot go out. After a gap several must lie ready, each time
        more, or a slow engine would make a gap at every picture."""
        ready = len(packets) - frame
        if ready <= 0 and not packets.complete and not self._starved:
            self.underruns += 1
            self._gaps = True
            self._needed = min(_MOST_NEEDED, self._needed * 2)
            self._starved = self._waits = True
        elif self._starved and (packets.complete or ready >= self._needed):
            self._starved = False
        return ready <= 0 or self._starved

    def _after(self) -> Sending:
        """Go on behind the last picture of a segment: without a gap where the next one waits."""
        self._begin()
        if self._playing is not None:
            return self._speak(self._playing, on_picture=True)
        return Sending(silent_packet(), self._idle_picture())

    def _begin(self) -> None:
        if not self._waiting:
            return
        first = self._waiting[0]
        if first.complete and not len(first):
            self._waiting.popleft()
            return
        if first.complete or len(first) >= self._needed:
            self._playing = self._waiting.popleft()

    def _leave(self) -> None:
        if self._playing is not None and self._idle:
            self._idle_at = self._next_key(self._playing.last_frame + 1)
        if self._sounded and not self._gaps:
            self._needed = max(self._start_frames, self._needed // 2)
        self._playing = None
        self._gaps = False
        self._sounded = 0
        self._waits = self._starved = False
        self._told = None
        self._bridged = {}
        self._asked_at = None

    def _place(self, packets: SegmentPackets, frame: int) -> Placed | None:
        """Say where the segment is when that is new: at its first picture, after a gap, and when
        its length is known."""
        frames = len(packets) if packets.complete else None
        news = self._told is None or self._waits or self._told.frames != frames
        self._waits = False
        if not news:
            return None
        self._told = Placed(packets.segment, frame, self._tick, frames)
        return self._told

    def _idle_picture(self) -> EncodedPicture | None:
        if not self._idle:
            return None
        if self._idle_ticks is not None and self._tick >= self._idle_until:
            return None
        picture = self._idle[self._idle_at]
        self._idle_at = (self._idle_at + 1) % len(self._idle)
        return picture

    def _next_key(self, frame: int) -> int:
        count = len(self._idle)
        around = (index % count for index in itertools.islice(itertools.count(frame), count))
        return next((index for index in around if self._idle[index].key), 0)
