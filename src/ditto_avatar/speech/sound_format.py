"""What a speech server really sends where raw samples were asked for.

Servers of OpenAI's protocol answer with WAV, MP3 or Ogg whatever they were asked, or with an error
as JSON under status 200. Played as samples all of these are loud noise, so the first bytes and the
content type decide. Streams of samples are read as they come; compressed sound, and sound as
base64 within JSON, is decoded as a whole, in the guarded child process.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import numpy as np

from ditto_avatar.errors import ProviderFailed
from ditto_avatar.speech.resample import StreamResampler
from ditto_avatar.types import FloatArray

_LONGEST_HEADER = 64 << 10
_RATES_HZ = range(4_000, 192_001)
_RATE = re.compile(r"\b(?:rate|samplerate|sample_rate)\s*=\s*\"?(\d{4,6})", re.IGNORECASE)
_CHANNELS = re.compile(r"\bchannels\s*=\s*\"?(\d{1,2})", re.IGNORECASE)
_TEXT_TYPES = ("application/json", "application/problem", "text/", "application/xml")
_MPEG_TYPES = ("audio/mpeg", "audio/mp3", "audio/aac", "audio/x-mpeg")
_MPEG1_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_SOUND_NAMES = frozenset(
    "audio audioContent audio_content audio_base64 b64_json data sound speech wav".split()
)
# Text in JSON that is shorter is a message, whatever its name; and how deep sound is looked for.
_LEAST_ENCODED, _DEEPEST = 400, 4


class Kind(Enum):
    """How sound is packed."""

    SAMPLES = auto()
    WAV = auto()
    COMPRESSED = auto()
    JSON = auto()


@dataclass(frozen=True, slots=True)
class SampleFormat:
    """Interleaved little-endian samples; `bits` are 8 (unsigned), 16, 24 or 32 (signed, or float
    if `floating`)."""

    rate_hz: int
    channels: int = 1
    bits: int = 16
    floating: bool = False

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * self.bits // 8


def kind_of(content_type: str, head: bytes, who: str) -> Kind:
    """Tell what an answer holds by its first bytes, some hundred or all there are. Raises
    `ProviderFailed` for text other than JSON, which is an error of the server whatever its
    status."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return Kind.WAV
    compressed = (
        head.startswith((b"ID3", b"OggS", b"fLaC", b"\x1aE\xdf\xa3")) or head[4:8] == b"ftyp"
    )
    if compressed:
        return Kind.COMPRESSED
    if content_type.lower().startswith(_MPEG_TYPES) and len(head) > 1 and head[0] == 0xFF:
        return Kind.COMPRESSED
    if _is_mpeg(head):
        return Kind.COMPRESSED
    if content_type.lower().startswith(_TEXT_TYPES) or _is_text(head):
        if head.lstrip()[:1] == b"{":
            return Kind.JSON
        raise ProviderFailed(f"{who} sent text where sound was expected.")
    return Kind.SAMPLES


def sound_in_json(body: bytes, who: str) -> tuple[bytes, str]:
    """Find the sound, as base64 or a data URL, in the JSON object of an answer; return it with its
    content type, "" where none is told. Raises `ProviderFailed` where there is none: then the
    answer is an error."""
    try:
        found = _encoded_sound(json.loads(body), _DEEPEST)
        if found is not None:
            told, _, encoded = found.rpartition(",")
            content_type = told.removeprefix("data:").removesuffix(";base64")
            return base64.b64decode(encoded, validate=True), content_type
    except (ValueError, RecursionError):
        pass
    raise ProviderFailed(f"{who} sent text where sound was expected.")


def _encoded_sound(value: Any, deepest: int) -> str | None:
    """The first long text under one of the names that servers give to sound."""
    if deepest == 0 or not isinstance(value, (dict, list)):
        return None
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inner, str) and name in _SOUND_NAMES and len(inner) >= _LEAST_ENCODED:
            return inner
        if (found := _encoded_sound(inner, deepest - 1)) is not None:
            return found
    return None


def samples_of(content_type: str, rate_hz: int) -> SampleFormat:
    """Read the format of raw samples from the content type, such as ``audio/L16; rate=16000``;
    what it does not say is `rate_hz`, mono, 16 bits."""
    rate, channels = _RATE.search(content_type), _CHANNELS.search(content_type)
    found = int(rate[1]) if rate else rate_hz
    count = int(channels[1]) if channels else 1
    return SampleFormat(found if found in _RATES_HZ else rate_hz, max(1, min(count, 8)))


class SampleReader:
    """Feed it samples in parts of any size; it gives back mono float32 at 16 kHz."""

    def __init__(self, form: SampleFormat) -> None:
        self._form = form
        self._resampler = StreamResampler(form.rate_hz)
        self._rest = b""

    def push(self, data: bytes) -> FloatArray:
        """The samples (n,) that are ready after `data`."""
        data = self._rest + data
        whole = len(data) - len(data) % self._form.frame_bytes
        self._rest = data[whole:]
        return self._resampler.push(_mono(data[:whole], self._form))

    def finish(self) -> FloatArray:
        """What is left inside."""
        return self._resampler.finish()


class WavReader:
    """The same for a WAV stream, whose length in the header may be unknown (0 or 2**32 - 1)."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._head = b""
        self._left = 0
        self._samples: SampleReader | None = None

    def push(self, data: bytes) -> FloatArray:
        """The samples (n,) that are ready after `data`. Raises `ProviderFailed` for a header that
        makes no sense, or a coding that is not samples."""
        if self._samples is None:
            self._head += data
            found = self._header()
            if found is None:
                if len(self._head) > _LONGEST_HEADER:
                    raise ProviderFailed(f"{self._who} sent a WAV file without sound.")
                return np.zeros(0, np.float32)
            data = found
        assert self._samples is not None
        data, self._left = data[: self._left], self._left - len(data[: self._left])
        return self._samples.push(data)

    def finish(self) -> FloatArray:
        """What is left inside."""
        return np.zeros(0, np.float32) if self._samples is None else self._samples.finish()

    def _header(self) -> bytes | None:
        """The bytes behind the header, None before it is complete."""
        at, form = 12, None
        while len(self._head) >= at + 8:
            name, size = struct.unpack_from("<4sI", self._head, at)
            if name == b"data":
                if form is None:
                    break
                # Streaming servers do not know the length beforehand.
                endless = size in {0, 0xFFFFFFFF} or size >= 0x7FFFFF00
                self._left = 1 << 62 if endless else size
                self._samples = SampleReader(form)
                return self._head[at + 8 :]
            if len(self._head) < at + 8 + size:
                return None
            if name == b"fmt ":
                form = self._format(self._head[at + 8 : at + 8 + size])
            at += 8 + size + size % 2
        return None

    def _format(self, chunk: bytes) -> SampleFormat:
        if len(chunk) < 16:
            raise ProviderFailed(f"{self._who} sent a WAV file with a damaged header.")
        tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
        if tag == _EXTENSIBLE and len(chunk) >= 26:
            (tag,) = struct.unpack_from("<H", chunk, 24)
        known = (tag == _PCM and bits in {8, 16, 24, 32}) or (tag == _FLOAT and bits == 32)
        if not known or rate not in _RATES_HZ or not 1 <= channels <= 8:
            raise ProviderFailed(f"{self._who} sent a WAV file of a kind that is not read.")
        return SampleFormat(rate, channels, bits, tag == _FLOAT)


def _mono(data: bytes, form: SampleFormat) -> FloatArray:
    if form.floating:
        values = np.nan_to_num(np.frombuffer(data, "<f4")).astype(np.float32)
    elif form.bits == 8:
        values = (np.frombuffer(data, np.uint8).astype(np.float32) - 128.0) / 128.0
    elif form.bits == 24:
        triples = np.frombuffer(data, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(triples), 4), np.uint8)
        wide[:, 1:] = triples
        values = wide.view("<i4").reshape(-1).astype(np.float32) / 2147483648.0
    else:
        scale = 32768.0 if form.bits == 16 else 2147483648.0
        values = np.frombuffer(data, f"<i{form.bits // 8}").astype(np.float32) / scale
    mono: FloatArray = values.reshape(-1, form.channels).mean(axis=1, dtype=np.float32)
    return mono


def _is_text(head: bytes) -> bool:
    """Samples of speech are no printable text for long."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    printable = all(byte in b"\t\r\n" or 32 <= byte < 127 or byte >= 128 for byte in start)
    ascii_share = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in start)
    begins = start[:1] in (b"{", b"[", b"<", b'"')
    return len(start) >= 2 and (
        (begins and printable and ascii_share > 0.9 * len(start)) or ascii_share == len(start) > 15
    )


def _is_mpeg(head: bytes) -> bool:
    """Whether two frames of MPEG audio (layer III) follow one another: samples may look like the
    beginning of one by chance."""
    length = _mpeg_frame(head)
    return length is not None and len(head) >= length + 4 and _mpeg_frame(head[length:]) is not None


def _mpeg_frame(data: bytes) -> int | None:
    """The length in bytes of the MPEG audio frame that `data` begins with; ISO 11172-3, 2.4.1."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE6 != 0xE2:
        return None
    version, bitrate, rate = data[1] >> 3 & 3, data[2] >> 4, data[2] >> 2 & 3
    if version == 1 or rate == 3 or not 0 < bitrate < 15:
        return None
    first = version == 3
    kbps = (_MPEG1_KBPS if first else _MPEG2_KBPS)[bitrate - 1]
    hz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    return (144 if first else 72) * kbps * 1_000 // hz + (data[2] >> 1 & 1)
