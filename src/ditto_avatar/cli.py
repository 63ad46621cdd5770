"""The command `ditto-avatar`: serve, render, avatars, doctor. Thin: parses, calls, prints."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table

from ditto_avatar import assembly
from ditto_avatar.errors import DittoAvatarError, InvalidInput
from ditto_avatar.face.avatar import Avatar, load_avatar
from ditto_avatar.settings import Settings
from ditto_avatar.types import Language, frames_for

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="A talking face that answers in real time.",
)
console = Console(stderr=True)

# Variables without the prefix of the others.
_OWN_NAMES = {"OPENAI_API_KEY", "TTS_API_KEY"}


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Serve the page and the API."""
    from ditto_avatar.server.app import create_app
    from ditto_avatar.server.graceful import GracefulServer

    settings = _settings()
    config = uvicorn.Config(
        create_app(settings),
        host=host or settings.host,
        port=settings.port if port is None else port,
        log_config=None,
        access_log=settings.log_level == "debug",
        ws_max_size=settings.max_body_kb * 1024,
        ws_ping_interval=30,
        ws_ping_timeout=30,
        timeout_graceful_shutdown=5,
    )
    with _telling_errors():
        GracefulServer(config).run()


@app.command()
def render(
    out: Annotated[Path, typer.Option(help="The MP4 file to write.")],
    avatar: Annotated[str, typer.Option(help="Name of a presenter, or a path to a pack.")] = "mina",
    text: Annotated[str | None, typer.Option(help="What to say.")] = None,
    audio: Annotated[Path | None, typer.Option(help="A sound file to speak along with.")] = None,
    language: Annotated[Language, typer.Option(help="Main language.")] = Language.ENGLISH,
    engine: Annotated[str | None, typer.Option(help="Face engine: puppet or ditto.")] = None,
) -> None:
    """Make a video file of a presenter who speaks a text or a sound file."""
    with _telling_errors():
        if (text is None) == (audio is None):
            raise InvalidInput("Give either --text or --audio.")
        asyncio.run(_render(_settings(), out, avatar, text, audio, language, engine))


@app.command()
def avatars() -> None:
    """List the presenters that can be chosen."""
    with _telling_errors():
        table = Table("name", "shown as", "size", "loop", "licence", "where from")
        for pack in assembly.open_avatars(_settings()):
            table.add_row(
                pack.name,
                " / ".join(pack.about.display_name.values()),
                f"{pack.width}x{pack.height}",
                f"{pack.frame_count / 25:.1f} s",
                pack.about.license,
                pack.about.provenance,
            )
        Console().print(table)


@app.command()
def doctor() -> None:
    """Say what is there, what would be used, and what does not work."""
    from ditto_avatar.doctor import State, examine

    with _telling_errors():
        findings = asyncio.run(examine(_settings()))
    table = Table("part", "", Column("finding", overflow="fold"))
    marks = {State.GOOD: "[green]✓[/]", State.ABSENT: "[dim]-[/]", State.BROKEN: "[red]✗[/]"}
    for finding in findings:
        table.add_row(finding.part, marks[finding.state], escape(finding.text))
    Console().print(table)
    if any(finding.state is State.BROKEN for finding in findings):
        raise typer.Exit(1)


async def _render(
    settings: Settings,
    out: Path,
    avatar_name: str,
    text: str | None,
    audio: Path | None,
    language: Language,
    engine: str | None,
) -> None:
    from ditto_avatar import render as rendering
    from ditto_avatar.speech.audio_file import read_audio

    avatar = _find_avatar(settings, avatar_name)
    speech = assembly.open_speech(settings)
    face = await assembly.open_face(settings, engine)
    try:
        if audio is not None:
            samples = await asyncio.to_thread(read_audio, audio)
            sound, total = rendering.recorded(samples), frames_for(len(samples))
        else:
            sound, total = rendering.spoken(text or "", avatar, speech, language), None
        with _progress_bar() as bar:
            task = bar.add_task("drawing", total=total)

            def progress(done: int, known: int | None) -> None:
                bar.update(task, completed=done, total=known)

            made = await rendering.render(sound, avatar, face, out, progress, total)
    finally:
        await speech.close()
        await face.close()
    console.print(f"{out}: {made.frames} frames, {made.seconds:.1f} s")


def _find_avatar(settings: Settings, name: str) -> Avatar:
    path = Path(name)
    if path.exists() and (path.is_dir() or path.suffix == ".zip"):
        return load_avatar(path)
    return assembly.open_avatars(settings).find(name)


def _progress_bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} frames"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def _settings() -> Settings:
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            console.print(f"[red]Error:[/] {escape(_wrong_setting(problem))}", highlight=False)
        raise typer.Exit(1) from None
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(message)s",
        handlers=[RichHandler(settings.log_level.upper(), console=console, show_path=False)],
        force=True,
    )
    for library in ("alembic", "bm25s"):
        logging.getLogger(library).setLevel(logging.WARNING)
    return settings


def _wrong_setting(problem: ErrorDetails) -> str:
    """One sentence about a variable; its value is not shown, it may be a key."""
    name = str(problem["loc"][0]) if problem["loc"] else "settings"
    if name.lower() in Settings.model_fields:
        name = name.upper() if name.upper() in _OWN_NAMES else f"DITTO_{name.upper()}"
    return f"The setting {name} cannot be used: {problem['msg']}."


@contextmanager
def _telling_errors() -> Iterator[None]:
    """Domain errors as one sentence instead of a stack trace."""
    try:
        yield
    except DittoAvatarError as error:
        console.print(f"[red]Error:[/] {escape(str(error))}", highlight=False)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
