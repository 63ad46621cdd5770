"""The command `voices`: what is there, what can be had, getting it, and hearing it."""

from __future__ import annotations

import asyncio
import math
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ditto_avatar.assembly import VOICES
from ditto_avatar.cli_progress import download_bar
from ditto_avatar.errors import NotFound
from ditto_avatar.media.clip import write_wav
from ditto_avatar.models.catalogue import Entry, catalogue, fetch_entry, find_entry
from ditto_avatar.settings import Settings
from ditto_avatar.types import joined

voices = typer.Typer(help="Voices and hearing on this machine, without a cloud.")
console = Console(stderr=True)
_KINDS = {"voices": "speaking", "hearing": "hearing"}


@voices.callback(invoke_without_command=True)
def listing(context: typer.Context) -> None:
    """List what is installed, and what can be downloaded."""
    if context.invoked_subcommand is not None:
        return
    data_dir = Settings().data_dir
    table = Table("name", "for", "languages", "MB", Column("licence", overflow="fold"), "")
    for entry in catalogue().values():
        here = "[green]installed[/]" if entry.is_installed(data_dir) else ""
        table.add_row(
            entry.name,
            _KINDS[entry.kind],
            " ".join(entry.languages),
            f"{entry.megabytes:.0f}",
            escape(entry.license),
            here,
        )
    Console().print(table)
    own = [name for name in asyncio.run(_own_names(data_dir)) if name not in catalogue()]
    if own:
        Console().print(f"your own voices: {', '.join(own)}")
    console.print("ditto-avatar voices download NAME; ditto-avatar voices try NAME 'some words'")


@voices.command("download")
def download(
    name: Annotated[str, typer.Argument(help="A name of the list.")],
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="You have read its licence and accept it.")
    ] = False,
) -> None:
    """Fetch a voice or a recogniser; what is there is kept, what was begun goes on."""
    entry, settings = find_entry(name), Settings()
    _tell_terms(entry)
    with download_bar(console) as tell:
        folder = asyncio.run(
            fetch_entry(
                entry,
                settings.data_dir,
                accepted=accept_license,
                endpoint=settings.checkpoints_endpoint,
                tell=tell,
            )
        )
    console.print(f"{entry.name} is in {folder}; the server uses it when it starts.")


@voices.command("try")
def try_voice(
    name: Annotated[str, typer.Argument(help="A voice that is installed.")],
    text: Annotated[str, typer.Argument(help="What it is to say.")],
    out: Annotated[Path, typer.Option(help="The WAV file to write.")] = Path("voice.wav"),
) -> None:
    """Write what a voice says into a WAV file, and tell how quick it is here."""
    console.print(asyncio.run(_say(Settings().data_dir, name, text, out)))


def _tell_terms(entry: Entry) -> None:
    console.print(f"{entry.label}: {entry.megabytes:.0f} MB, {escape(entry.license)}")
    console.print(entry.license_url, highlight=False)
    if entry.forbids:
        console.print(f"It forbids {escape(entry.forbids)}.")


async def _own_names(data_dir: Path) -> list[str]:
    from ditto_avatar.speech.neural.installed import find_models

    return [model.name for model in await asyncio.to_thread(find_models, data_dir / VOICES)]


async def _say(data_dir: Path, name: str, text: str, out: Path) -> str:
    from ditto_avatar.speech.espeak import EspeakEngine
    from ditto_avatar.speech.neural.local import LocalSpeech
    from ditto_avatar.speech.voices import language_of

    async with AsyncExitStack() as stack:
        espeak = await stack.enter_async_context(EspeakEngine(children=1))
        local = LocalSpeech(data_dir / VOICES, espeak, slowest=math.inf)
        stack.push_async_callback(local.close)
        told = await local.check()
        matching = [voice for voice in local.voices() if voice.id.partition("/")[0] == name]
        matching = matching or [voice for voice in local.voices() if voice.id == name]
        if not matching:
            raise NotFound(f"The voice {name!r} is not installed: ditto-avatar voices.")
        wanted = language_of(text, matching[0].language)
        chosen = next((voice for voice in matching if voice.language is wanted), matching[0])
        sound = joined([chunk async for chunk in local.speak(text, chosen)])
        await asyncio.to_thread(write_wav, sound.samples, out)
    return f"{out}: {chosen.label}. {told}"
