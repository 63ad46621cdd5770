"""Define the tables: sessions, their turns, the clips of each turn; the servers that share them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


def utc_now() -> datetime:
    """Return the time that rows carry."""
    return datetime.now(UTC)


class Base(AsyncAttrs, DeclarativeBase):
    """Base of all tables."""


class SessionRow(Base):
    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64))
    avatar: Mapped[str] = mapped_column(String(64))
    language: Mapped[str] = mapped_column(String(8))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utc_now)
    used_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utc_now)
    grant: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    closed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    owner: Mapped[str | None] = mapped_column(String(32), index=True)
    """The server that holds it; free while that server has no lease."""
    epoch: Mapped[int] = mapped_column(default=1, server_default="1")
    """Counts its owners; every write names it."""
    turns: Mapped[list[TurnRow]] = relationship(
        back_populates="session", cascade="all, delete-orphan", order_by="TurnRow.generation"
    )


class TurnRow(Base):
    __tablename__ = "turns"
    __table_args__ = (
        UniqueConstraint("session_id", "generation"),
        UniqueConstraint("session_id", "client_id"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    generation: Mapped[int]
    client_id: Mapped[str | None] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text, default="")
    heard: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16), default="running")
    reason: Mapped[str | None] = mapped_column(String(32))
    timings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utc_now)
    session: Mapped[SessionRow] = relationship(back_populates="turns")
    clips: Mapped[list[ClipRow]] = relationship(
        back_populates="turn", cascade="all, delete-orphan", order_by="ClipRow.index"
    )


class ClipRow(Base):
    __tablename__ = "clips"
    __table_args__ = (Index("ix_clips_turn_id", "turn_id"),)

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    turn_id: Mapped[str] = mapped_column(ForeignKey("turns.id", ondelete="CASCADE"))
    index: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    emotion: Mapped[str] = mapped_column(String(16))
    duration: Mapped[float]
    first_frame: Mapped[int]
    last_frame: Mapped[int]
    turn: Mapped[TurnRow] = relationship(back_populates="clips")


class ServerRow(Base):
    __tablename__ = "servers"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    """Where the other servers reach it."""
    lease_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """By the clock of the database."""


class AllowanceRow(Base):
    __tablename__ = "allowances"

    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    tokens: Mapped[float]
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
