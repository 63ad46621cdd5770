"""Decide what a viewer is sent at each tick: no I/O, no clock.

A sentence begins once enough pictures lie ready. From then on a picture goes out every second tick,
and sound at each: its own 40 ms, or what comes some ticks later where sound is to go ahead. Where
pictures are missing, or ticks were left out, the rest of the segment moves back: its place in RTP
time is told anew.
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
    """What goes out at one tick: a packet of sound, mostly silence; a picture every second tick
    while there are any; and what the viewer has to know of the segment."""

    sound: bytes
    picture: EncodedPicture | None = None
    placed: Placed | None = None
    at_once: bool = False
    """Whether the picture is the first one after a pause, which somebody waits for."""


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
    idle loop is sent when nothing is spoken, counted from the first tick; None for always. Sound
    goes `sound_ahead` ticks before its picture. What it would be before the first picture is left
    out where it is silent, and else sent while the picture waits.
    """

    def __init__(
        self, *, start_frames: int = 1, idle_ticks: int | None = 0, sound_ahead: int = 0
    ) -> None:
        self.underruns = 0
        """How often a picture was missing in the middle of a sentence."""
        self._start_frames = start_frames
        self._idle_ticks = idle_ticks
        self._idle: Sequence[EncodedPicture] = ()
        self._idle_at = 0
        self._waiting: deque[SegmentPackets] = deque()
        self._playing: SegmentPackets | None = None
        self._ahead = sound_ahead
        # Ticks of the segment so far; negative while its sound begins without a picture.
        self._position = 0
        self._waits = False
        self._starved = False
        self._needed = start_frames
        self._gaps = False
        self._told: Placed | None = None
        self._bridged: dict[int, EncodedPicture] = {}
        self._asked_at: int | None = None
        self._tick = -1
        self._pictured = -TICKS_PER_PICTURE - 1
        self._idle_until = 0

    @property
    def speaking(self) -> bool:
        """Whether a segment is playing."""
        return self._playing is not None

    @property
    def begins(self) -> bool:
        """Whether a sentence begins at the next tick, after a pause."""
        if self._playing is not None or not self._waiting or not self._paused(self._tick + 1):
            return False
        return self._may_begin(self._waiting[0])

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
        at = max(0, self._position) // SOUNDS_PER_PICTURE + _BRIDGE_AHEAD
        pictures = self._playing.pictures[: len(self._playing)]
        if at >= len(pictures) or any(p.key for p in pictures[at - _BRIDGE_AHEAD : at + 1]):
            return None
        self._asked_at = self._tick
        return BridgeWanted(pictures, at)

    def cross(self, wanted: BridgeWanted, made: Mapping[int, EncodedPicture]) -> bool:
        """Use a bridge; False where it came too late, or for another segment."""
        playing = self._playing
        in_time = self._position < SOUNDS_PER_PICTURE * wanted.at
        if playing is None or not in_time or playing.pictures[0] is not wanted.pictures[0]:
            return False
        self._bridged = dict(made)
        return True

    def tick(self, number: int) -> Sending:
        """Return what goes out at tick `number`."""
        skipped = number != self._tick + 1
        self._tick = number
        # Two pictures are never closer than what one of them lasts.
        free = number - self._pictured >= TICKS_PER_PICTURE
        if free and self._playing is None:
            self._begin()
        packets = self._playing
        if packets is None:
            sending = Sending(silent_packet(), self._idle_picture() if free else None)
        else:
            self._waits |= skipped and self._position > 0
            sending = self._speak(packets)
        if sending.picture is not None:
            self._pictured = number
        return sending

    def _speak(self, packets: SegmentPackets) -> Sending:
        frame, half = divmod(self._position, SOUNDS_PER_PICTURE)
        if half == 0 and self._lacks(packets, frame):
            if packets.complete:
                self._leave()
                return self._after()
            return Sending(silent_packet())
        sound = self._sound(packets, self._position + self._ahead)
        self._position += 1
        if half or frame < 0:
            return Sending(sound)
        placed = self._place(packets, frame)
        at_once = frame == 0 and self._paused(self._tick)
        return Sending(sound, self._bridged.pop(frame, packets.pictures[frame]), placed, at_once)

    def _paused(self, number: int) -> bool:
        """Whether no picture was sent shortly before tick `number`."""
        return number - self._pictured > TICKS_PER_PICTURE

    @staticmethod
    def _sound(packets: SegmentPackets, number: int) -> bytes:
        over = packets.sound_complete and number >= packets.sounds
        return silent_packet() if over else packets.sound(number)

    def _heard(self, packets: SegmentPackets, frame: int) -> bool:
        """Whether the sound that goes out with picture `frame` is there."""
        wanted = SOUNDS_PER_PICTURE * (frame + 1) + self._ahead
        return packets.sound_complete or packets.sounds >= wanted

    def _lacks(self, packets: SegmentPackets, frame: int) -> bool:
        """Whether picture `frame` cannot go out. After a gap several must lie ready, each time
        more, or a slow engine would make a gap at every picture."""
        ready = len(packets) - frame if self._heard(packets, frame) else 0
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
            return self._speak(self._playing)
        return Sending(silent_packet(), self._idle_picture())

    def _begin(self) -> None:
        if not self._waiting:
            return
        first = self._waiting[0]
        if first.complete and not len(first):
            self._waiting.popleft()
            return
        if self._may_begin(first):
            self._playing = self._waiting.popleft()
            self._position = first.silent(self._ahead) - self._ahead

    def _may_begin(self, packets: SegmentPackets) -> bool:
        ready = len(packets) >= self._needed and self._heard(packets, self._needed - 1)
        return packets.complete or ready

    def _leave(self) -> None:
        if self._playing is not None and self._idle:
            self._idle_at = self._next_key(self._playing.last_frame + 1)
        if self._position and not self._gaps:
            self._needed = max(self._start_frames, self._needed // 2)
        self._playing = None
        self._gaps = False
        self._position = 0
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
