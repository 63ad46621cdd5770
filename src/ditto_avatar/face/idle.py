"""The pictures of idle loops, decoded where they are needed and kept within a limit."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from weakref import WeakValueDictionary

import av
import numpy as np
from av.container import InputContainer

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.media.source import MP4, open_media
from ditto_avatar.types import ByteArray

MAX_BYTES = 128 * 1024 * 1024
# Pictures from one keyframe to the next: they are decoded at once.
MAX_GROUP_BYTES = 192 * 1024 * 1024


class IdleMemory:
    """Keeps the groups of pictures that were used last, up to `max_bytes`; any thread may use it.
    One for all avatars of a library: ten seconds of one of them fit."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._groups: OrderedDict[int, ByteArray] = OrderedDict()
        self._lock = threading.Lock()

    def use(self, pictures: ByteArray) -> None:
        """This group is used now."""
        with self._lock:
            if id(pictures) not in self._groups:
                self._groups[id(pictures)] = pictures
                self._bytes += pictures.nbytes
            self._groups.move_to_end(id(pictures))
            while self._bytes > self._max_bytes:
                _, oldest = self._groups.popitem(last=False)
                self._bytes -= oldest.nbytes


class IdleFrames:
    """A read-only sequence of `count` I420 pictures, uint8 (height * 3 / 2, width).

    Pictures are decoded in groups, from one keyframe to the next. `memory` keeps those that were
    used last; a group stays in memory for as long as one of its pictures is referenced, too. Any
    thread may read; reading blocks for the some 30 ms that decoding a second takes.
    """

    def __init__(
        self, path: Path, count: int, width: int, height: int, memory: IdleMemory | None = None
    ) -> None:
        self._memory = memory or IdleMemory()
        self._path = path
        self._count = count
        self._shape = (height * 3 // 2, width)
        self._lock = threading.Lock()
        # When each picture is presented, and the first picture of each group.
        self._times: list[int] = []
        self._firsts: list[int] = []
        self._groups: WeakValueDictionary[int, ByteArray] = WeakValueDictionary()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[ByteArray]:
        return (self[index] for index in range(self._count))

    def __getitem__(self, index: int) -> ByteArray:
        """Picture `index`. Raises `IndexError` beyond the loop, `InvalidAvatar` when the file
        holds something else than it promised."""
        if not 0 <= index < self._count:
            raise IndexError(f"There are {self._count} idle frames, none with the index {index}.")
        with self._lock:
            if not self._firsts:
                self._times, self._firsts = self._survey()
            group = bisect_right(self._firsts, index) - 1
            pictures = self._groups.get(group)
            if pictures is None:
                pictures = self._groups[group] = self._decode(group)
            self._memory.use(pictures)
        picture: ByteArray = pictures[index - self._firsts[group]]
        return picture

    def _survey(self) -> tuple[list[int], list[int]]:
        """Presentation times of all pictures and indices of the keyframes, without decoding."""
        with self._open() as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
        times = sorted(packet.pts for packet in packets if packet.pts is not None)
        self._expect(len(times))
        firsts = [bisect_left(times, p.pts) for p in packets if p.is_keyframe and p.pts is not None]
        if not firsts or firsts[0] != 0:
            raise InvalidAvatar(f"{self._path.name}: expected a keyframe at the beginning.")
        longest = max(end - first for first, end in pairwise([*firsts, len(times)]))
        most = MAX_GROUP_BYTES // (self._shape[0] * self._shape[1])
        if longest > most:
            raise InvalidAvatar(
                f"{self._path.name}: expected a keyframe every {most} frames or sooner, "
                f"came {longest} frames without one."
            )
        return times, firsts

    def _decode(self, group: int) -> ByteArray:
        first = self._firsts[group]
        end = self._firsts[group + 1] if group + 1 < len(self._firsts) else self._count
        pictures = np.empty((end - first, *self._shape), np.uint8)
        missing = set(range(first, end))
        with self._open() as container:
            stream = container.streams.video[0]
            container.seek(self._times[first], stream=stream)
            for frame in container.decode(stream):
                index = bisect_left(self._times, -1 if frame.pts is None else frame.pts)
                if index in missing:
                    pictures[index - first] = frame.to_ndarray(format="yuv420p")
                    missing.remove(index)
                if not missing:
                    break
        self._expect(self._count - len(missing))
        pictures.setflags(write=False)
        return pictures

    def _expect(self, count: int) -> None:
        if count != self._count:
            raise InvalidAvatar(
                f"{self._path.name}: expected {self._count} frames that can be decoded, "
                f"came {count}."
            )

    @contextmanager
    def _open(self) -> Iterator[InputContainer]:
        try:
            with open_media(self._path, MP4) as container:
                yield container
        except (av.FFmpegError, ValueError) as error:
            raise InvalidAvatar(f"{self._path.name}: expected H.264, came {error}.") from error
