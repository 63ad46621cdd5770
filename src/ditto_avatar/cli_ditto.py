"""The commands about Ditto's weights, engines and faces: `checkpoints`, `engines`, `register`."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ditto_avatar.assembly import ditto_options
from ditto_avatar.cli_progress import download_bar
from ditto_avatar.errors import InvalidInput, Unavailable
from ditto_avatar.face.cutting import make_cutout
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.register.guarded import check_picture, register_face
from ditto_avatar.face.register.writing import Terms, check_request
from ditto_avatar.settings import Settings

checkpoints = typer.Typer(no_args_is_help=True, help="The released Ditto weights.")
engines = typer.Typer(no_args_is_help=True, help="TensorRT engines for Ditto.")
console = Console(stderr=True)

Folder = Annotated[Path, typer.Argument(help="The checkpoint folder.")]


@checkpoints.command("download")
def download(folder: Folder = Path("checkpoints")) -> None:
    """Fetch the weights (about 2.2 GB); what is there is kept, what was begun goes on."""
    from ditto_avatar.face.ditto.checkpoints import download_checkpoints

    endpoint = Settings().checkpoints_endpoint
    with download_bar(console) as tell:
        fetched = asyncio.run(download_checkpoints(folder, endpoint=endpoint, tell=tell))
    for file in fetched:
        console.print(f"fetched {file.path}")
    console.print(f"{folder} is complete: DITTO_CHECKPOINTS={folder} ditto-avatar serve")


@checkpoints.command("verify")
def verify(folder: Folder = Path("checkpoints")) -> None:
    """Look into every file: each tensor against the manifest, and each file's licence."""
    _needs_torch()
    from ditto_avatar.face.ditto.checkpoints import verify_checkpoints

    report = verify_checkpoints(folder)
    table = Table("file", "licence", "MB", "", title=str(folder))
    for file in report.files:
        found = f"[red]{file.problem}[/]" if file.problem else file.detail
        table.add_row(file.path, file.license, f"{file.bytes / 1e6:.1f}", found)
    Console().print(table)
    if not report.ok:
        raise typer.Exit(1)


@engines.command("export")
def export(
    folder: Folder = Path("checkpoints"),
    out: Annotated[
        Path | None, typer.Option(help="Where the ONNX files go (default: FOLDER/engines).")
    ] = None,
    half: Annotated[
        bool, typer.Option("--half/--single", help="Half precision for pictures, or none.")
    ] = True,
) -> None:
    """Write every network as ONNX with standard operators, checked against torch."""
    _needs_torch()
    from ditto_avatar.face.ditto.runtime.tensorrt.export import export_checkpoint
    from ditto_avatar.face.ditto.runtime.tensorrt.plan import engines_folder

    target = out or engines_folder(folder)
    for path in export_checkpoint(folder, target, half=half, tell=console.print):
        console.print(f"wrote {path}")
    console.print(
        f"next, on the GPU: ditto-avatar engines build {target}; or here, for RTX cards elsewhere: "
        f"ditto-avatar engines build {target} --for sm_86,sm_89,sm_120"
    )


@engines.command("build")
def build(
    folder: Annotated[
        Path, typer.Argument(help="The exported graphs, or the checkpoint's own ditto_onnx.")
    ] = Path("checkpoints/engines"),
    out: Annotated[
        Path | None,
        typer.Option(help="Where the engines go (default: the engines folder of the checkpoint)."),
    ] = None,
    cards: Annotated[
        str,
        typer.Option(
            "--for", help="Cards to build for, without one here: sm_80,sm_86,sm_89,sm_120."
        ),
    ] = "",
) -> None:
    """Build TensorRT engines for the GPU of this machine, or with --for for others; what is built
    already is kept."""
    _needs_torch()
    from ditto_avatar.face.ditto.models import choose_device
    from ditto_avatar.face.ditto.runtime.tensorrt.build import build_engines
    from ditto_avatar.face.ditto.runtime.tensorrt.plan import (
        engines_folder,
        is_exported,
        jobs_of,
    )

    targets = tuple(dict.fromkeys(card.strip() for card in cards.split(",") if card.strip()))
    jobs, skipped = jobs_of(folder)
    for reason in skipped:
        console.print(f"skipped: {reason}")
    target = out or (folder if is_exported(folder) else engines_folder(folder.parent))
    device = choose_device("cpu" if targets else Settings().device)
    for path in build_engines(jobs, target, device, tell=console.print, targets=targets):
        console.print(f"wrote {path}")


def register(
    source: Annotated[Path, typer.Argument(help="A photo or a film of one face.")],
    out: Annotated[
        Path | None, typer.Argument(help="The avatar pack to make, a new folder.")
    ] = None,
    license: Annotated[str, typer.Option(help="The picture's licence.")] = "",
    consent: Annotated[str, typer.Option(help="Whose consent there is to show the face.")] = "",
    provenance: Annotated[str, typer.Option(help="Where the picture comes from.")] = "own picture",
    cutout: Annotated[
        bool, typer.Option("--cutout", help="Also cut the person out, for other backgrounds.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only say what is wrong with it.")] = False,
) -> None:
    """Make an avatar pack from a photo or a film: for the puppet, or with Ditto where there are
    checkpoints."""
    if not source.is_file():
        raise InvalidInput(f"There is no file {str(source)!r}.")
    if check:
        _tell_findings(source)
        return
    if out is None:
        raise InvalidInput("Name the folder of the pack to make, or ask with --check.")
    terms = Terms(license, provenance, consent)
    check_request(out, terms)
    settings = Settings()
    if settings.checkpoints is not None:
        _register_with_ditto(source, out, terms, settings)
        if cutout:
            make_cutout(load_avatar(out))
    else:
        with console.status("making the avatar"):
            asyncio.run(register_face(source, out, terms, cutout=cutout))
    console.print(f"{out}: DITTO_AVATARS_DIR={out.parent} DITTO_AVATAR={out.name}")


def _tell_findings(source: Path) -> None:
    findings = asyncio.run(check_picture(source))
    for finding in findings:
        console.print(f"{'[red]✗[/]' if finding.blocks else '[yellow]![/]'} {finding.text()}")
    if any(finding.blocks for finding in findings):
        raise typer.Exit(1)
    console.print("[green]✓[/] This can become an avatar.")


def _register_with_ditto(source: Path, out: Path, terms: Terms, settings: Settings) -> None:
    _needs_torch()
    from ditto_avatar.face.ditto.loading import load_models
    from ditto_avatar.face.ditto.portrait import register_source

    options = ditto_options(settings)
    with console.status("looking at the face") as status:

        def progress(stage: str, done: int, total: int) -> None:
            status.update(f"{stage} {done}/{total}")

        register_source(source, out, load_models(options), options, terms, progress=progress)


def _needs_torch() -> None:
    if find_spec("torch") is None or find_spec("onnxruntime") is None:
        raise Unavailable("This needs more packages: pip install -e '.[ditto]'.")
