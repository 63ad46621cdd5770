"""The command `ditto-avatar`: serve, render, avatars, doctor. Thin: parses, calls, prints."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table
from typer.core import TyperGroup

from ditto_avatar import (
    assembly,
    cli_cluster,
    cli_ditto,
    cli_films,
    cli_keys,
    cli_voices,
    event_loop,
)
from ditto_avatar.credentials.opening import open_credentials
from ditto_avatar.errors import DittoAvatarError, InvalidInput
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.backdrop import before
from ditto_avatar.face.base import FaceEngine
from ditto_avatar.face.library import open_pack
from ditto_avatar.settings import Settings
from ditto_avatar.types import Language

if TYPE_CHECKING:
    from ditto_avatar.render import Script
    from ditto_avatar.speech.base import SpeechEngine

console = Console(stderr=True)


class Sentences(TyperGroup):
    """Tells domain errors of every command as one sentence instead of a stack trace."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except DittoAvatarError as error:
            console.print(f"[red]Error:[/] {escape(str(error))}", highlight=False)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=Sentences,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="A talking face that answers in real time.",
)
app.add_typer(cli_ditto.checkpoints, name="checkpoints")
app.add_typer(cli_ditto.engines, name="engines")
app.add_typer(cli_keys.keys, name="keys")
app.add_typer(cli_voices.voices, name="voices")
app.command()(cli_ditto.register)
app.command()(cli_films.verify)
app.command()(cli_cluster.cluster)

# Variables without the prefix of the others.
_OWN_NAMES = {"OPENAI_API_KEY", "TTS_API_KEY"}


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Serve the page and the API."""
    from ditto_avatar.server.exposure import warning_for
    from ditto_avatar.server.serving import serve as serve_settings

    given = {"host": host, "port": port}
    settings = _settings(**{name: value for name, value in given.items() if value is not None})
    if (warning := warning_for(settings)) is not None:
        console.print(Panel(escape(warning), title="Open to everybody", border_style="bold red"))
    event_loop.run(serve_settings(settings))


@app.command()
def worker(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 7138,
) -> None:
    """Draw for servers on other machines (their DITTO_WORKERS)."""
    from ditto_avatar.worker import run_worker

    settings = _settings()
    event_loop.run(run_worker(settings, host or settings.host, port))


@app.command()
def render(
    out: Annotated[
        Path,
        typer.Option(
            help="The film to write: .mp4, or .webm or .mov with a transparent background."
        ),
    ],
    avatar: Annotated[str, typer.Option(help="Name of a presenter, or a path to a pack.")] = "mina",
    text: Annotated[
        str | None, typer.Option(help="What to say; with --audio, what is said there.")
    ] = None,
    audio: Annotated[Path | None, typer.Option(help="A sound file to speak along with.")] = None,
    script: Annotated[
        Path | None, typer.Option(help="A text file, or captions (.srt) to speak at their times.")
    ] = None,
    language: Annotated[Language, typer.Option(help="Main language.")] = Language.ENGLISH,
    engine: Annotated[str | None, typer.Option(help="Face engine: puppet or ditto.")] = None,
    motion: Annotated[
        Path | None, typer.Option(help="Also write the face's motion: ARKit shapes as CSV.")
    ] = None,
    motion_in: Annotated[
        Path | None, typer.Option(help="Play this motion (Live Link Face CSV) to the sound.")
    ] = None,
    background: Annotated[
        str,
        typer.Option(
            help="avatar (its own), a colour (green, #00b140), a picture, or transparent (as "
            ".mp4 packed: colours above, opacity below)."
        ),
    ] = "avatar",
) -> None:
    """Make a video file of a presenter who speaks a text or a sound file."""
    if (text is None and audio is None) == (script is None):
        raise InvalidInput("Give --script, or else --text, --audio or both.")
    source = _Source(text, audio, script, language)
    asyncio.run(_render(_settings(), out, (avatar, background), source, engine, motion, motion_in))


@app.command()
def cutout(
    pack: Annotated[Path, typer.Argument(help="The folder of an avatar pack.")],
) -> None:
    """Cut a presenter out of its background, so that it can be shown before another one."""
    from ditto_avatar.face.cutting import make_cutout

    if not pack.is_dir():
        raise InvalidInput(f"There is no folder {str(pack)!r}.")
    avatar = asyncio.run(open_pack(pack))
    with _progress_bar() as bar:
        task = bar.add_task("cutting out", total=None, frames=_count(0, None))

        def cut(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, frames=_count(done, total))

        path = make_cutout(avatar, progress=cut)
    console.print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


@app.command()
def avatars() -> None:
    """List the presenters that can be chosen."""
    table = Table("name", "shown as", "size", "loop", "licence", "where from")
    library = asyncio.run(assembly.open_avatars(_settings()))
    for pack in library:
        row = (
            pack.name,
            " / ".join(pack.about.display_name.values()),
            f"{pack.width}x{pack.height}",
            f"{pack.frame_count / 25:.1f} s",
            pack.about.license,
            pack.about.provenance,
        )
        table.add_row(*map(escape, row))
    Console().print(table)
    if library.refused:
        refused = Table("left out", Column("because", overflow="fold"))
        for name, reason in library.refused.items():
            refused.add_row(escape(name), escape(reason))
        Console().print(refused)


@app.command()
def doctor() -> None:
    """Say what is there, what would be used, and what does not work."""
    from ditto_avatar.doctor import State, examine

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
    shown: tuple[str, str],
    source: _Source,
    engine: str | None,
    motion: Path | None,
    motion_in: Path | None,
) -> None:
    from ditto_avatar import render as rendering

    credentials = await asyncio.to_thread(open_credentials, settings)
    name, background = shown
    avatar = await asyncio.to_thread(before, await _find_avatar(settings, name), background)
    speech = assembly.open_speech(settings)
    try:
        if (local := assembly.local_voices(speech)) is not None:
            await local.prepare()
        script = await _script(source, speech)
        face = await _face(settings, engine, motion_in, motion)
        try:
            with _progress_bar() as bar:
                task = bar.add_task("drawing", total=None, frames=_count(0, None))

                def drawn(done: int, total: int | None) -> None:
                    bar.update(task, completed=done, total=total, frames=_count(done, total))

                def notice(text: str) -> None:
                    console.print(f"[yellow]Note:[/] {escape(text)}")

                made = await rendering.render(
                    script, avatar, face, speech, out, on_drawn=drawn, on_notice=notice
                )
            if credentials is not None:
                await rendering.sign(out, avatar, face, credentials, notice)
        finally:
            await face.close()
    finally:
        await speech.close()
    console.print(f"{out}: {made.frames} frames, {made.seconds:.1f} s")


@dataclass(frozen=True, slots=True)
class _Source:
    """What `render` was given to speak."""

    text: str | None
    audio: Path | None
    script: Path | None
    language: Language


async def _script(source: _Source, speech: SpeechEngine) -> Script:
    from ditto_avatar.render import Script, read_recording, read_script

    if source.script is not None:
        return await asyncio.to_thread(read_script, source.script, source.language)
    recording = None
    if source.audio is not None:
        recording = await read_recording(source.audio, source.text, speech, source.language)
    return Script(source.text or "", source.language, recording)


async def _face(
    settings: Settings, engine: str | None, motion_in: Path | None, motion_out: Path | None
) -> FaceEngine:
    if motion_out is not None:
        from ditto_avatar.face.puppet.motion_writer import MotionWriter

        return MotionWriter(await _face(settings, engine, motion_in, None), motion_out)
    if motion_in is None:
        return await assembly.open_face(settings, engine)
    if (engine or assembly.face_name(settings)) != "puppet":
        raise InvalidInput("--motion-in is played by the puppet: add --engine puppet.")
    return assembly.open_puppet(motion_in)


async def _find_avatar(settings: Settings, name: str) -> Avatar:
    if await asyncio.to_thread(_is_pack, Path(name)):
        return await open_pack(Path(name))
    return (await assembly.open_avatars(settings)).find(name)


def _is_pack(path: Path) -> bool:
    return path.is_dir() or (path.is_file() and path.suffix == ".zip")


def _count(done: int, total: int | None) -> str:
    """Word how far the drawing is; the total is unknown while a text is still being spoken."""
    return str(done) if total is None else f"{done}/{total}"


def _progress_bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[frames]} frames"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def _settings(**given: Any) -> Settings:
    try:
        settings = Settings(**given)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            console.print(f"[red]Error:[/] {escape(_wrong_setting(problem))}", highlight=False)
        raise typer.Exit(1) from None
    _log(settings.log_level.upper())
    for library in ("alembic", "bm25s"):
        logging.getLogger(library).setLevel(logging.WARNING)
    return settings


def _log(level: str) -> None:
    """To a terminal in colours; to a file or a collector one whole line each."""
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console, show_path=False)
        shape = "%(message)s"
    else:
        handler = logging.StreamHandler()
        shape = "%(asctime)s %(levelname)s %(name)s %(message)s"
    # Libraries that raise their own voice are heard no sooner.
    handler.setLevel(level)
    logging.basicConfig(level=level, format=shape, handlers=[handler], force=True)


def _wrong_setting(problem: ErrorDetails) -> str:
    """One sentence about a variable; its value is not shown, it may be a key."""
    name = str(problem["loc"][0]) if problem["loc"] else "settings"
    if name.lower() in Settings.model_fields:
        name = name.upper() if name.upper() in _OWN_NAMES else f"DITTO_{name.upper()}"
    return f"The setting {name} cannot be used: {problem['msg']}."


if __name__ == "__main__":
    app()
