"""Decide which of several servers holds a session.

A server that shares its database has a lease, which it renews. It holds a session while the row of
the session names it; each change of the owner raises the session's epoch, and what a former owner
still writes is refused (`Held`). A session is free when it has no owner, when its owner's lease is
over, or when its owner cannot be reached. A mistake about that costs a viewer a reconnect, and
never a message.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from ditto_avatar.clock import Clock
from ditto_avatar.errors import SessionMoved
from ditto_avatar.metrics import Metrics
from ditto_avatar.session.schema import ServerRow, SessionRow, TurnRow
from ditto_avatar.session.store import Store
from ditto_avatar.session.stored import INTERRUPTED, RUNNING, Held

log = logging.getLogger(__name__)

# Renewed three times as often: one renewal may fail.
LEASE_S = 10.0
# A server that could not be reached is asked again after this.
_UNREACHABLE_S = 30.0
# A question that is older than this is not answered on its own when its viewer comes back.
_ANSWERED_AGAIN_S = 60.0
# Servers that have been gone for so long are forgotten.
_FORGOTTEN_S = 3_600


@dataclass(frozen=True, slots=True)
class Owner:
    """A server that holds a session, and where it is reached."""

    id: str
    url: str


class HeldElsewhere(SessionMoved):
    """A session that another server holds."""

    def __init__(self, owner: Owner) -> None:
        super().__init__("The conversation goes on at another server.")
        self.owner = owner


@dataclass(frozen=True, slots=True)
class Taken:
    """A session that was taken: its name for writes, and the turns that its last owner has just
    left without an end."""

    held: Held
    cut: frozenset[str] = frozenset()


class Ownership:
    """Take sessions for this server and give them back. Belongs to the event loop. Every method
    raises `StorageFailed`; cancelling is safe."""

    def __init__(self, store: Store, url: str, clock: Clock, metrics: Metrics) -> None:
        """`url` is where other servers reach this one; it says nothing if the store is not
        shared."""
        self._store = store
        self._me = store.server_id
        self._url = url
        self._clock = clock
        self._metrics = metrics
        self._unreachable: dict[str, float] = {}

    @property
    def shared(self) -> bool:
        """Whether there may be other servers."""
        return self._store.shared

    async def begin(self) -> None:
        """Begin the lease of this server. One that ran at the same address before is gone."""
        async with self._store.writing() as db:
            await db.execute(delete(ServerRow).where(ServerRow.url == self._url))
        await self.renew()

    async def renew(self) -> None:
        """Renew the lease of this server."""
        until = func.now() + text(f"interval '{LEASE_S:g} seconds'")
        row = insert(ServerRow).values(id=self._me, url=self._url, lease_until=until)
        renewed = row.on_conflict_do_update(index_elements=["id"], set_={"lease_until": until})
        async with self._store.writing() as db:
            await db.execute(renewed)

    async def resign(self) -> None:
        """End the lease: whatever this server still holds is free. Forget servers that are long
        gone."""
        gone = func.now() - text(f"interval '{_FORGOTTEN_S} seconds'")
        async with self._store.writing() as db:
            await db.execute(
                delete(ServerRow).where(or_(ServerRow.id == self._me, ServerRow.lease_until < gone))
            )

    async def take(self, session_id: str) -> Taken:
        """Take a session that is free, and mark what its last owner left running as interrupted.
        Raises `HeldElsewhere` if another server holds it, `SessionMoved` if there is none."""
        taking = (
            update(SessionRow)
            .where(SessionRow.id == session_id, self._free())
            .values(owner=self._me, epoch=SessionRow.epoch + 1)
            .returning(SessionRow.epoch)
        )
        async with self._store.writing() as db:
            epoch = (await db.execute(taking)).scalar_one_or_none()
            if epoch is not None:
                running = (TurnRow.session_id == session_id, TurnRow.state == RUNNING)
                since = self._store.ago(_ANSWERED_AGAIN_S)
                recent = select(TurnRow.id).where(*running, TurnRow.created_at >= since)
                cut = frozenset((await db.execute(recent)).scalars())
                await db.execute(update(TurnRow).where(*running).values(state=INTERRUPTED))
                if cut:
                    self._metrics.sessions_moved.labels("taken_over").inc()
                return Taken(Held(session_id, epoch), cut)
        owner = await self.owner_of(session_id)
        if owner is None:
            raise SessionMoved("The conversation has just moved to another server.")
        raise HeldElsewhere(owner)

    async def owner_of(self, session_id: str) -> Owner | None:
        """Return the other server that holds a session; None for one that is free, is held here or
        does not exist."""
        if not self.shared:
            return None
        query = (
            select(ServerRow.id, ServerRow.url)
            .join(SessionRow, SessionRow.owner == ServerRow.id)
            .where(SessionRow.id == session_id, ~self._free())
        )
        async with self._store.reading() as db:
            row = (await db.execute(query)).first()
        return None if row is None else Owner(row.id, row.url)

    async def give_back(self, held: Held) -> None:
        """Let another server take a session at once."""
        if not self.shared:
            return
        async with self._store.writing() as db:
            await db.execute(
                update(SessionRow)
                .where(SessionRow.id == held.session_id, SessionRow.epoch == held.epoch)
                .values(owner=None)
            )

    async def lost(self, held: Collection[Held]) -> list[Held]:
        """Return those of the stored sessions in `held` that another server has taken, or that are
        gone."""
        names = [each.session_id for each in held]
        query = select(SessionRow.id, SessionRow.epoch).where(SessionRow.id.in_(names))
        async with self._store.reading() as db:
            epochs = {row.id: row.epoch for row in await db.execute(query)}
        return [each for each in held if epochs.get(each.session_id) != each.epoch]

    def presume_dead(self, owner: Owner) -> None:
        """Note that a server did not answer: for a while its sessions are free."""
        self._unreachable[owner.id] = self._clock.now() + _UNREACHABLE_S
        log.warning("the server at %s cannot be reached: its sessions are taken over", owner.url)

    def _free(self) -> ColumnElement[bool]:
        if not self.shared:
            return true()
        now = self._clock.now()
        self._unreachable = {k: until for k, until in self._unreachable.items() if until > now}
        server = aliased(ServerRow)
        alive = exists().where(server.id == SessionRow.owner, server.lease_until > func.now())
        return or_(
            SessionRow.owner.is_(None),
            SessionRow.owner.in_([self._me, *self._unreachable]),
            ~alive,
        )
