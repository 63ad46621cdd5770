"""Sign films in a child process: what the library does wrong there ends no conversation."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from pathlib import Path

from ditto_avatar.credentials.certificate import Certificate
from ditto_avatar.credentials.statement import Statement
from ditto_avatar.errors import InvalidFilm
from ditto_avatar.guard.inspector import Check, Inspector
from ditto_avatar.guard.limits import Limits

_SIGN = Check("ditto_avatar.credentials.child:sign_film", InvalidFilm, Limits(written_mb=4_096))


class Credentials:
    """Sign films with one certificate, one film after the other."""

    def __init__(self, certificate: Certificate) -> None:
        self._certificate = certificate
        self._child = Inspector(_SIGN)
        self._one = asyncio.Lock()

    async def sign(self, film: Path, target: Path, statement: Statement) -> None:
        """Write `film` to `target`, which may be `film`, with credentials that carry `statement`.
        `target` appears whole or not at all. Raises `InvalidFilm` when it cannot be signed or
        written, and `Unavailable` when no child can be started. Cancelling is safe."""
        # Named here: the child that writes it may be killed.
        part = target.with_name(f".{target.name}.{os.getpid()}.{id(self)}.part")
        paths = _absolute({"part": part, "target": target})
        async with self._one:
            try:
                await self._child.inspect(
                    film,
                    **paths,
                    statement=asdict(statement),
                    chain=self._certificate.chain,
                    key=self._certificate.key,
                    algorithm=self._certificate.algorithm,
                )
            finally:
                part.unlink(missing_ok=True)

    async def close(self) -> None:
        """End the child. Cancelling is safe."""
        async with self._one:
            await self._child.__aexit__()


def _absolute(paths: dict[str, Path]) -> dict[str, str]:
    """The child has another working directory."""
    return {name: str(path.absolute()) for name, path in paths.items()}
