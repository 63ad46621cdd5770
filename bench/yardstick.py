"""How slow this machine is at the moment: the yardstick that every figure is printed beside.

    python -m bench.yardstick          measures for ten seconds and prints

A figure in milliseconds says as much about the machine and its other guests as about the program.
So each bench measures four fixed loads between its repetitions: a clip through x264, NumPy and
OpenCV at work on a picture, a loop in plain Python, and round trips over the loopback. The
yardstick is how many times longer they take than on the reference machine in a quick hour (1.0 is
as fast as that, 2.0 half as fast), and a figure divided by it is comparable between machines.

Each load counts by its share of an answer's wait, since a slow loopback delays an answer less than
a slow encoder does. A machine that is shared changes its speed within seconds: what has
repetitions is divided one by one, by what was measured right before and after (`Repetitions`).
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from statistics import fmean, median
from types import TracebackType

import av
import cv2
import numpy as np
from rich.console import Console

from ditto_avatar.types import ByteArray, FloatArray

REFERENCE_MS = {"encode": 30.0, "arrays": 20.0, "python": 20.0, "loopback": 5.0}
"""What the loads take on two cores of an AMD EPYC in a quick hour, each in one sample."""
SHARES = {"encode": 0.35, "arrays": 0.40, "python": 0.22, "loopback": 0.03}
"""The kinds of work between a text and its first fragment. Of 70 ms in such an hour 9 are Python, 5
the voice (native code, counted with Python), 29 drawing the first pictures, 25 encoding them, and
2 the ways between processes (from `turn.finished` and processor times)."""
SIDE_PX = 512
_FRAMES = 16
_ROUND_TRIPS = 400
_LOOPS = 600_000
_REMAPS = 24
_MESSAGE = bytes(1_000)


class Yardstick:
    """Samples of the four loads, taken inside a ``with`` block. `clock` counts seconds: of the
    wall for what somebody waits for, of the process for rates that count processor time."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._pictures = _pictures()
        self._grid = _grid()
        self._echo = _echo()
        self._loads: dict[str, Callable[[], object]] = {
            "encode": self._encode,
            "arrays": self._arrays,
            "python": _count,
            "loopback": self._round_trips,
        }
        self._samples_ms: dict[str, list[float]] = {name: [] for name in self._loads}

    def __enter__(self) -> Yardstick:
        self._socket = self._echo.__enter__()
        for load in self._loads.values():  # libraries loaded, code warm
            load()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._echo.__exit__(kind, error, where)

    def sample(self) -> float:
        """Do each load once, about a tenth of a second in all; return how many times slower than
        the reference the machine is at this moment. Call it between repetitions."""
        taken_ms = {}
        for name, load in self._loads.items():
            began = self._clock()
            load()
            taken_ms[name] = (self._clock() - began) * 1_000
            self._samples_ms[name].append(taken_ms[name])
        return times_slower(taken_ms)

    @property
    def loads_ms(self) -> dict[str, float]:
        """The median of each load's samples."""
        return {name: median(samples) for name, samples in self._samples_ms.items()}

    @property
    def value(self) -> float:
        """How many times slower than the reference, by the medians of the loads."""
        return times_slower(self.loads_ms)

    def content(self) -> dict[str, float | int]:
        """What a file of results says about it."""
        loads = {f"{name}_ms": round(taken, 2) for name, taken in self.loads_ms.items()}
        return {
            "value": round(self.value, 3),
            **loads,
            "samples": len(self._samples_ms["python"]),
        }

    def _encode(self) -> None:
        codec = av.CodecContext.create("libx264", "w")
        assert isinstance(codec, av.VideoCodecContext)
        codec.width = codec.height = SIDE_PX
        codec.pix_fmt, codec.time_base = "yuv420p", Fraction(1, 25)
        codec.options = {"preset": "superfast", "tune": "zerolatency", "threads": "1"}
        for index, picture in enumerate(self._pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts = index
            codec.encode(frame)
        codec.encode(None)

    def _arrays(self) -> None:
        source = self._pictures[0][:SIDE_PX]
        for shift in range(_REMAPS):
            moved = cv2.remap(
                source, self._grid[0] + shift, self._grid[1], cv2.INTER_LINEAR
            ).astype(np.float32)
            np.clip(moved * 1.1 + 3.0, 0, 255).astype(np.uint8)

    def _round_trips(self) -> None:
        for _ in range(_ROUND_TRIPS):
            self._socket.sendall(_MESSAGE)
            _receive(self._socket)


class Repetitions:
    """A figure's repetitions, each beside the yardstick of its own moment."""

    def __init__(self, yardstick: Yardstick) -> None:
        """Take the first sample, which comes before the first repetition."""
        self._yardstick = yardstick
        self._before = yardstick.sample()
        self._slower: list[float] = []

    def done(self) -> None:
        """Take a sample behind a repetition."""
        after = self._yardstick.sample()
        self._slower.append(fmean((self._before, after)))
        self._before = after

    def at_yardstick_one(self, measured: Sequence[float]) -> list[float]:
        """Divide what each repetition measured by the mean of the samples around it."""
        return [value / slower for value, slower in zip(measured, self._slower, strict=True)]


def times_slower(taken_ms: Mapping[str, float]) -> float:
    """Weigh what the loads took, in ms, against the reference."""
    return sum(share * taken_ms[name] / REFERENCE_MS[name] for name, share in SHARES.items())


def _pictures() -> list[ByteArray]:
    """I420 pictures (768, 512) uint8 of something that moves, with a little noise."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    pictures = []
    for index in range(_FRAMES):
        waves = 128 + 60 * np.sin((x + 4 * index) / 23) * np.cos((y - 3 * index) / 17)
        luma = waves + random.normal(0, 2, waves.shape)
        chroma = np.full((SIDE_PX // 2, SIDE_PX), 128.0)
        picture = np.concatenate((luma, chroma)).clip(0, 255).astype(np.uint8)
        pictures.append(picture)
    return pictures


def _grid() -> tuple[FloatArray, FloatArray]:
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.float32)
    return x + 3 * np.sin(y / 31), y + 3 * np.cos(x / 29)


def _count() -> int:
    total = 0
    for number in range(_LOOPS):
        total += number & 7
    return total


@contextmanager
def _echo() -> Iterator[socket.socket]:
    """A connection over the loopback to a thread that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answer() -> None:
        while data := _receive(far):
            far.sendall(data)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield near
    finally:
        near.close()
        thread.join()
        far.close()


def _receive(end: socket.socket) -> bytes:
    data = b""
    while len(data) < len(_MESSAGE) and (more := end.recv(len(_MESSAGE) - len(data))):
        data += more
    return data


def main() -> None:
    """Print the yardstick of ten seconds."""
    ends = time.monotonic() + 10
    with Yardstick() as yardstick:
        while time.monotonic() < ends:
            yardstick.sample()
    Console().print_json(data=yardstick.content())


if __name__ == "__main__":
    main()
