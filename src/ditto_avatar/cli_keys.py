"""The command `ditto-avatar keys`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from ditto_avatar.server.keys import new_key

keys = typer.Typer(no_args_is_help=True, help="Keys that let programs and operators in.")


@keys.callback()
def group() -> None:
    """Make `new` a command of its own, although there is no other."""


@keys.command("new")
def new(
    name: Annotated[
        str | None, typer.Option(help="What logs call the key (default: part of its digest).")
    ] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="For the admin interface, not for opening sessions.")
    ] = False,
) -> None:
    """Make a key and print it this once, with the line that lets it in."""
    text, key = new_key(name)
    setting = "DITTO_ADMIN_KEYS" if admin else "DITTO_API_KEYS"
    lines = [
        "[dim]The key. Keep it where passwords are kept: it is not shown again.[/]",
        escape(text),
        "[dim]For the settings of the server (.env). It is no secret; several by commas.[/]",
        escape(f"{setting}={key.entry}"),
    ]
    Console(soft_wrap=True, highlight=False).print("\n".join(lines))
