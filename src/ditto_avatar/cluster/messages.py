"""Translate between the domain's values and the messages of `worker.proto`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.types import Emotion, FloatArray, Phoneme

WATCH = "/ditto_avatar.worker.Worker/Watch"
DRAW = "/ditto_avatar.worker.Worker/Draw"
BRING = "/ditto_avatar.worker.Worker/Bring"
DIRECTORY = "ditto_avatar.worker.Directory"
LIST = f"/{DIRECTORY}/List"
SERVICE = "ditto_avatar.worker.Worker"
HEARTBEAT_S = 0.5
"""A worker tells its places at least this often."""
# A sentence's sound comes in pieces; fragments of large pictures are the longest messages.
OPTIONS = [
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.max_send_message_length", 16 * 1024 * 1024),
]
# By itself gRPC tries again after up to two minutes, and gives an address that is gone twenty
# seconds: a worker that is back would stand idle for as long.
CLIENT_OPTIONS = [
    *OPTIONS,
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.min_reconnect_backoff_ms", 2_000),
]


@dataclass(frozen=True, slots=True)
class Sound:
    """What one `push` of a face stream gets: samples (n,) at 16 kHz, and phonemes whose times
    count from the first of them."""

    samples: FloatArray
    phonemes: tuple[Phoneme, ...]
    emotion: Emotion
    intensity: float

    def after(self, samples: int) -> Sound:
        """Return what is left behind the first `samples`."""
        left = tuple(
            Phoneme(p.symbol, max(0, p.start - samples), p.end - samples, p.stressed)
            for p in self.phonemes
            if p.end > samples
        )
        return Sound(self.samples[samples:], left, self.emotion, self.intensity)

    @classmethod
    def joined(cls, sounds: Sequence[Sound]) -> Sound:
        """Return sounds of one emotion that follow one another as one."""
        phonemes: list[Phoneme] = []
        begin = 0
        for sound in sounds:
            phonemes += (
                Phoneme(p.symbol, p.start + begin, p.end + begin, p.stressed)
                for p in sound.phonemes
            )
            begin += len(sound.samples)
        samples = np.concatenate([sound.samples for sound in sounds])
        return cls(samples, tuple(phonemes), sounds[0].emotion, sounds[0].intensity)

    def goes_with(self, other: Sound) -> bool:
        """Whether the two may be joined."""
        return (self.emotion, self.intensity) == (other.emotion, other.intensity)

    def message(self) -> pb.Up:
        """Return it as a message."""
        return pb.Up(
            sound=pb.Sound(
                samples=np.ascontiguousarray(self.samples, "<f4").tobytes(),
                phonemes=[
                    pb.Phoneme(symbol=p.symbol, start=p.start, end=p.end, stressed=p.stressed)
                    for p in self.phonemes
                ],
                emotion=self.emotion.value,
                intensity=self.intensity,
            )
        )


def sound_of(message: pb.Sound) -> Sound:
    """Read a message. Raises `ValueError` for an unknown emotion or half a sample."""
    return Sound(
        np.frombuffer(message.samples, "<f4").astype(np.float32),
        tuple(Phoneme(p.symbol, p.start, p.end, p.stressed) for p in message.phonemes),
        Emotion(message.emotion),
        message.intensity,
    )


def authorization(token: str | None) -> Sequence[tuple[str, str]]:
    """Return the metadata that a call carries."""
    return () if token is None else (("authorization", f"Bearer {token}"),)
