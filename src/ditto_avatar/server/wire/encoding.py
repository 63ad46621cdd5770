"""Events, clips and presenters as they go over the network. URLs are made here and nowhere
else."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from ditto_avatar.dialogue.base import Role
from ditto_avatar.dialogue.cleaning import joined_halves
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.cutout import SUFFIX
from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.server.sub_path import url
from ditto_avatar.server.wire.content import AvatarOut, ClipOut, EntryOut
from ditto_avatar.transport.events import Event, HistoryEntry
from ditto_avatar.transport.outbox import NumberedEvent
from ditto_avatar.types import FRAME_RATE_HZ


def encode(numbered: NumberedEvent) -> str:
    """Write a server event as a JSON text frame."""
    event = numbered.event
    message: dict[str, Any] = {"type": event.type}
    if numbered.seq is not None:
        message["seq"] = numbered.seq
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, bytes):
            message["bytes"] = len(value)
        elif isinstance(value, Clip):
            message.update(_plain(value))
        else:
            message[field.name] = value
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"), default=_plain)
    # A half of a character from an old history would end every connection that reads it.
    return joined_halves(text)


def _plain(value: Any) -> Any:
    match value:
        case Avatar():
            return avatar_out(value).model_dump()
        case Clip():
            return clip_out(value).model_dump()
        case HistoryEntry():
            return entry_out(value).model_dump(exclude_unset=True)
        case Event():
            return {field.name: getattr(value, field.name) for field in fields(value)}
        case _:
            return dict(value)


def clip_out(clip: Clip) -> ClipOut:
    """Give a clip the URLs of its files."""
    return ClipOut(
        index=clip.index,
        text=clip.text,
        emotion=clip.emotion,
        video_url=url(f"/video/{clip.name}.mp4"),
        audio_url=url(f"/audio/{clip.name}.wav"),
        duration=clip.duration,
        first_frame=clip.first_frame,
        last_frame=clip.last_frame,
    )


def entry_out(entry: HistoryEntry) -> EntryOut:
    """Give a text of the history the URLs of its clips. An answer says how much of it was heard, a
    question what its page called it."""
    own: dict[str, Any] = {}
    if entry.role == Role.ASSISTANT:
        own["heard"] = entry.heard
    elif entry.id is not None:
        own["id"] = entry.id
    role = "assistant" if entry.role == Role.ASSISTANT else "user"
    clips = [clip_out(clip) for clip in entry.clips]
    return EntryOut(role=role, text=entry.text, turn=entry.turn, clips=clips, **own)


def _cutout_name(avatar: Avatar) -> str | None:
    if avatar.cutout is not None:
        return avatar.name
    return None if avatar.cutout_frames is None else avatar.name + SUFFIX


def avatar_out(avatar: Avatar) -> AvatarOut:
    """Give a presenter the URLs of its files."""
    about = avatar.about
    return AvatarOut(
        name=avatar.name,
        display_name=dict(about.display_name),
        description=dict(about.description),
        license=about.license,
        provenance=about.provenance,
        consent=about.consent,
        poster_url=url(f"/avatars/{avatar.name}/poster.webp"),
        idle_url=url(f"/avatars/{avatar.name}/idle.mp4"),
        width=avatar.width,
        height=avatar.height,
        fps=FRAME_RATE_HZ,
        frames=avatar.frame_count,
        alpha=avatar.cutout is not None,
        cutout=_cutout_name(avatar),
    )
