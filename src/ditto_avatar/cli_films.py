"""The command `ditto-avatar verify`."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ditto_avatar.credentials.reading import read_credentials

_SIGNERS = {
    True: "trusted: the certificate leads to one of yours",
    False: "known by name only: nobody you named vouches for the certificate (--trust)",
}


def verify(
    film: Annotated[Path, typer.Argument(help="An MP4 or MOV file.")],
    trust: Annotated[
        Path | None, typer.Option(help="Certificates (PEM) that a trusted signer's leads to.")
    ] = None,
) -> None:
    """Check a film's content credentials (C2PA), and say who made it and how."""
    read = asyncio.run(read_credentials(film, trust))
    rows = {
        "film": "unchanged since it was signed",
        "made by AI": "yes" if read.made_by_ai else "it does not say so",
        "source": read.source_type,
        "made with": read.made_with,
        "made at": read.made_at,
        **(asdict(read.statement) if read.statement is not None else {}),
        "signed by": read.signer,
        "signer": _SIGNERS[read.trusted],
    }
    table = Table(Column("credentials"), Column("", overflow="fold"), highlight=False)
    for name, value in rows.items():
        table.add_row(name, escape(value))
    Console().print(table)
