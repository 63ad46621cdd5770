from __future__ import annotations

import av
import numpy as np
import pytest

from ditto_avatar.media.encode import EncodedPicture, FragmentEncoder
from ditto_avatar.media.fragments import Fragment, header_of
from ditto_avatar.media.opus import PACKET_SAMPLES, silent_packet
from ditto_avatar.media.packets import SegmentPackets
from ditto_avatar.media.pictures import bridge, encode_loop, group_around, pictures_in
from ditto_avatar.types import SAMPLES_PER_FRAME, ByteArray

SIZE = 128
COUNT = 40


def drawn(index: int) -> ByteArray:
    """A picture with a square that moves."""
    yuv = np.full((SIZE * 3 // 2, SIZE), 128, np.uint8)
    yuv[:SIZE] = np.arange(SIZE, dtype=np.uint8)[None, :]
    yuv[40:60, 2 * index : 2 * index + 20] = 235
    return yuv


def encoded() -> tuple[list[EncodedPicture], list[Fragment]]:
    encoder = FragmentEncoder(SIZE, SIZE)
    pictures, fragments = [], []
    for index in range(COUNT):
        fragments += encoder.encode(drawn(index), np.zeros(SAMPLES_PER_FRAME, np.float32))
        pictures.append(encoder.newest)
    return pictures, fragments + encoder.finish()


def decoded(pictures: list[EncodedPicture]) -> list[ByteArray]:
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    frames = [frame for picture in pictures for frame in decoder.decode(av.Packet(picture.data))]
    frames += decoder.decode(None)
    return [frame.to_ndarray(format="yuv420p").astype(np.uint8) for frame in frames]


def test_pictures_taken_out_of_fragments_are_those_of_the_encoder() -> None:
    pictures, fragments = encoded()
    found = pictures_in(b"".join(fragment.data for fragment in fragments))
    assert [p.key for p in found] == [p.key for p in pictures]
    for ours, theirs in zip(decoded(pictures), decoded(found), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_fragment_is_a_stream_with_the_header_of_the_first() -> None:
    _, fragments = encoded()
    header = header_of(fragments[0])
    counts = [len(pictures_in(header + f.data)) for f in fragments[1:]]
    assert counts == [3, 5, 5, 5, 5, 10, 5]


def test_a_bridge_lets_a_decoder_in_and_leads_to_the_same_pictures() -> None:
    pictures, _ = encoded()
    at = 28
    start, end = group_around(pictures, at)
    assert (start, end) == (25, 35)
    made = bridge(pictures, at)
    assert sorted(made) == list(range(at, end))
    assert made[at].key
    entered = decoded([made.get(i, pictures[i]) for i in range(at, COUNT)])
    whole = decoded(pictures)[at:]
    assert len(entered) == len(whole) == COUNT - at
    np.testing.assert_array_equal(entered[end - at], whole[end - at])
    difference = entered[3].astype(int) - whole[3].astype(int)
    assert np.sqrt((difference**2).mean()) < 4


def test_an_idle_loop_can_be_entered_close_to_any_frame() -> None:
    pictures = encode_loop((drawn(i) for i in range(12)), SIZE, SIZE)
    assert [i for i, picture in enumerate(pictures) if picture.key] == [0, 5, 10]
    assert len(decoded(pictures[5:])) == 7


def test_sound_is_encoded_once_and_in_step_with_the_pictures() -> None:
    packets = SegmentPackets("s")
    tone = (np.sin(np.arange(SAMPLES_PER_FRAME * 10) / 5) / 2).astype(np.float32)
    packets.hear(tone, complete=True)
    packets.add_all([EncodedPicture(b"p", key=True)] * 10, 7)
    packets.close()
    sounds = [packets.sound(number) for number in range(20)]
    assert packets.sound(3) is sounds[3]
    assert packets.last_frame == 7
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    frames = [f for sound in sounds for f in decoder.decode(av.Packet(sound))]
    assert [frame.samples for frame in frames] == [960] * 20
    heard = frames[10].to_ndarray().astype(float)
    assert np.abs(heard).max() > 0.2 * np.iinfo(np.int16).max


@pytest.mark.parametrize("lead", [0, 3, 7])
def test_the_silence_that_a_sentence_begins_with_is_counted(lead: int) -> None:
    packets = SegmentPackets("s")
    sound = np.full(PACKET_SAMPLES * 20, 0.1, np.float32)
    sound[: PACKET_SAMPLES * lead + 50] = 0
    packets.hear(sound, complete=False)
    assert packets.silent(7) == lead
    assert packets.silent(2) == min(2, lead)
    assert packets.sounds == 20


def test_a_packet_of_silence_is_small() -> None:
    assert 0 < len(silent_packet()) < 80
