"""Join clips to films without encoding anything again. A child process does this: `session.film`
starts it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet

from ditto_avatar.errors import InvalidFilm
from ditto_avatar.guard.messages import Answer
from ditto_avatar.media.encode import AUDIO_RATE_HZ
from ditto_avatar.types import FRAME_RATE_HZ

_AAC_SAMPLES = 1024
_FRAME = Fraction(1, FRAME_RATE_HZ)
_SAMPLE = Fraction(1, AUDIO_RATE_HZ)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What two clips must have in common to be one film."""

    width: int
    height: int
    video: bytes
    audio: bytes


def join_clips(path: Path, names: list[str], target: str, comment: str) -> Answer:
    """Join the clips `names` in the folder `path`. A film ends where a clip has another size or
    other parameters; film number `n` from 0 is ``<target>-<n>``. The answer counts the frames of
    each clip, film by film. Raises `InvalidFilm` for a clip that cannot be read."""
    films: list[list[int]] = []
    film: _Film | None = None
    try:
        for name in names:
            with av.open(str(path / name), "r", format="mp4") as clip:
                kind = _kind_of(clip)
                if film is None or film.kind != kind:
                    if film is not None:
                        film.close()
                    film = _Film(f"{target}-{len(films)}", clip, kind, comment)
                    films.append([])
                films[-1].append(film.add(clip))
    except (FFmpegError, OSError, ValueError) as error:
        raise InvalidFilm(f"The clips cannot be joined: {type(error).__name__}.") from error
    finally:
        if film is not None:
            film.close()
    return Answer({"films": films})


def _kind_of(clip: InputContainer) -> _Kind:
    video, audio = clip.streams.video[0], clip.streams.audio[0]
    extra = video.codec_context.extradata or b"", audio.codec_context.extradata or b""
    return _Kind(video.width, video.height, *extra)


class _Film:
    """A film that clips are put into, one behind the other.

    Pictures and sound are counted on by themselves. The sound of a clip comes in whole packets, up
    to one more than its pictures last: a packet at its end, which is silence, is left out when the
    sound would be half a packet ahead. So they are never more than 11 ms apart, however many clips
    there are.
    """

    def __init__(self, target: str, first: InputContainer, kind: _Kind, comment: str) -> None:
        self.kind = kind
        self._frames = 0
        self._packets = 0
        self._file: OutputContainer = av.open(
            target, "w", format="mp4", options={"movflags": "faststart"}
        )
        self._file.metadata["comment"] = comment
        self._video = self._file.add_stream_from_template(first.streams.video[0])
        self._audio = self._file.add_stream_from_template(first.streams.audio[0])

    def add(self, clip: InputContainer) -> int:
        """Add a clip; return how many pictures it has."""
        pictures, sound = _packets(clip, "video"), _packets(clip, "audio")
        end = (self._frames + len(pictures)) * AUDIO_RATE_HZ // FRAME_RATE_HZ
        while sound and (self._packets + len(sound)) * _AAC_SAMPLES - end > _AAC_SAMPLES // 2:
            sound.pop()
        timed: list[tuple[Fraction, Packet[Any]]] = []
        for index, packet in enumerate(pictures):
            packet.stream = self._video
            timed.append(_at(packet, self._frames + index, _FRAME))
        for index, packet in enumerate(sound):
            packet.stream = self._audio
            timed.append(_at(packet, (self._packets + index) * _AAC_SAMPLES, _SAMPLE))
        for _, packet in sorted(timed, key=lambda pair: pair[0]):
            self._file.mux(packet)
        self._frames += len(pictures)
        self._packets += len(sound)
        return len(pictures)

    def close(self) -> None:
        """Write the index. May be called again."""
        self._file.close()


def _packets(clip: InputContainer, kind: str) -> list[Packet[Any]]:
    clip.seek(0)
    streams = {"video": clip.streams.video, "audio": clip.streams.audio}[kind]
    return [packet for packet in clip.demux(streams[0]) if packet.dts is not None]


def _at(packet: Packet[Any], count: int, unit: Fraction) -> tuple[Fraction, Packet[Any]]:
    packet.time_base = unit
    packet.pts = packet.dts = count
    packet.duration = 1 if unit == _FRAME else _AAC_SAMPLES
    return count * unit, packet
