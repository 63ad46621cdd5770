"""Read the credentials of a film that anybody may have made."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from pathlib import Path

from ditto_avatar.credentials.installed import need_library
from ditto_avatar.credentials.statement import FilmCredentials, Statement
from ditto_avatar.errors import InvalidFilm
from ditto_avatar.guard.inspector import Check, inspect, one_line
from ditto_avatar.guard.limits import Limits

_READ = Check("ditto_avatar.credentials.child:read_film", InvalidFilm, Limits())


async def read_credentials(path: Path, anchors: Path | None = None) -> FilmCredentials:
    """Read and check the credentials of the film at `path`. `anchors` is a PEM file with the
    certificates that a trusted signer's leads to.

    Raises `InvalidFilm` when there are none or when film and credentials do not belong together,
    `Unavailable` without the extra ``credentials``. Cancelling is safe.
    """
    need_library()
    if not await asyncio.to_thread(path.is_file):
        raise InvalidFilm(f"There is no film {str(path)!r}.")
    trusted = None if anchors is None else await asyncio.to_thread(_pem, anchors)
    value = (await inspect(_READ, path, anchors=trusted)).value
    said = value["statement"]
    return FilmCredentials(
        signer=one_line(value["signer"]),
        trusted=value["trusted"] is True,
        made_with=one_line(value["made_with"]),
        source_type=one_line(value["source_type"]),
        made_at=one_line(value["made_at"]),
        statement=_statement(said) if isinstance(said, dict) else None,
    )


def _statement(said: dict[str, object]) -> Statement:
    return Statement(**{f.name: one_line(said.get(f.name, "")) for f in fields(Statement)})


def _pem(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeError) as error:
        raise InvalidFilm(f"The certificates in {str(path)!r} cannot be read.") from error
