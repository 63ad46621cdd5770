"""Talk to a Ditto Avatar server from Python: open, ask, take the fragments, listen to events."""

from ditto_avatar.client.connection import AvatarConnection, connect
from ditto_avatar.client.messages import ConnectionEnded, Event, Fragment, ServerError
from ditto_avatar.client.saving import save_segments

__all__ = [
    "AvatarConnection",
    "ConnectionEnded",
    "Event",
    "Fragment",
    "ServerError",
    "connect",
    "save_segments",
]
