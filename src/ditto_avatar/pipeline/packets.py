"""Hand on the segments of a turn as single packets, to viewers who take them so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ditto_avatar.media.fragments import Fragment, header_of
from ditto_avatar.media.packets import SegmentPackets
from ditto_avatar.media.pictures import pictures_in
from ditto_avatar.pipeline.cache import SegmentMedia
from ditto_avatar.pipeline.encoding import Encoded
from ditto_avatar.pipeline.segment import Segment


class PacketFeed:
    """Fill the packets of one segment after the other. Nothing is encoded again: pictures come
    from the encoder's tap, or out of fragments that were encoded elsewhere or before."""

    def __init__(self, wanted: Callable[[], bool]) -> None:
        """Make packets of those segments at whose beginning they are `wanted`."""
        self._wanted = wanted
        self._packets: SegmentPackets | None = None
        self._header = b""

    def begin(self, segment: Segment) -> SegmentPackets | None:
        """Begin `segment`; its packets, None where nobody takes them."""
        self._packets = SegmentPackets(segment.id) if self._wanted() else None
        self._header = b""
        return self._packets

    def add(self, segment: Segment, made: Encoded) -> None:
        """Add the newest picture, or those of the fragments that came with it."""
        packets = self._packets
        if packets is None:
            return
        # Whoever plays it sends sound ahead of its pictures.
        packets.hear(segment.sound.samples, complete=segment.frames is not None)
        if made.picture.data:
            packets.add(made.picture, segment.last_frame)
        else:
            self._add_fragments(packets, segment, made.fragments)

    async def end(self, segment: Segment, made: Sequence[Fragment], media: SegmentMedia) -> None:
        """Add what is missing of the segment, and close it. Cancelling is safe."""
        packets = self._packets
        if packets is None:
            return
        self._packets = None
        packets.hear(media.audio, complete=True)
        if not len(packets):
            pictures = await asyncio.to_thread(pictures_in, media.stream)
            packets.add_all(pictures, media.last_frame)
        elif len(packets) < media.frames:
            self._add_fragments(packets, segment, made)
        packets.close()

    def _add_fragments(
        self, packets: SegmentPackets, segment: Segment, made: Sequence[Fragment]
    ) -> None:
        # Some 2 ms for a second of pictures.
        for fragment in made:
            if fragment.index == 0:
                self._header = header_of(fragment)
                stream = fragment.data
            else:
                stream = self._header + fragment.data
            packets.add_all(pictures_in(stream), segment.last_frame)
