"""The commands about Ditto's weights, engines and faces: `checkpoints`, `engines`, `register`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ditto_avatar.assembly import ditto_options
from ditto_avatar.errors import InvalidInput, Unavailable
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
    download_checkpoints(folder, endpoint=endpoint, tell=console.print)
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
    out: Annotated[Path, typer.Option(help="Where the ONNX files go.")] = Path("engines"),
    half: Annotated[bool, typer.Option(help="Half precision.")] = False,
) -> None:
    """Write every network as ONNX with standard operators, checked against torch."""
    _needs_torch()
    from ditto_avatar.face.ditto.checkpoint_files import FILES, place
    from ditto_avatar.face.ditto.runtime.tensorrt.export import export_graphs
    from ditto_avatar.face.ditto.weights import load_network

    networks = {
        entry.network: load_network(entry.network, place(folder, name))
        for name, entry in FILES.items()
        if entry.network is not None
    }
    for path in export_graphs(networks, out, half=half, tell=console.print):
        console.print(f"wrote {path}")


@engines.command("build")
def build(
    onnx: Annotated[Path, typer.Argument(help="Folder of the exported ONNX files.")],
    out: Annotated[Path, typer.Option(help="Where the engines go.")] = Path("engines"),
    precision: Annotated[str, typer.Option(help="As exported: half or single.")] = "half",
) -> None:
    """Build TensorRT engines for the GPU of this machine."""
    _needs_torch()
    from ditto_avatar.face.ditto.runtime.tensorrt.build import build_engine
    from ditto_avatar.face.ditto.runtime.tensorrt.graphs import specs

    found = [(onnx / f"{spec.name}.onnx", spec) for spec in specs()]
    missing = [path.name for path, _ in found if not path.is_file()]
    if missing:
        raise InvalidInput(
            f"{onnx} lacks {', '.join(missing)}; `ditto-avatar engines export` writes them."
        )
    for path, spec in found:
        console.print(build_engine(path, spec, out, precision=precision, tell=console.print))


def register(
    source: Annotated[Path, typer.Argument(help="A photo or a video of one face.")],
    out: Annotated[Path, typer.Argument(help="The avatar pack to make, a new folder.")],
    license: Annotated[str, typer.Option(help="The picture's licence.")],
    consent: Annotated[str, typer.Option(help="Whose consent there is to show the face.")],
    provenance: Annotated[str, typer.Option(help="Where the picture comes from.")] = "own picture",
) -> None:
    """Make an avatar pack from a photo or a video with Ditto."""
    _needs_torch()
    from ditto_avatar.face.ditto.models import load_models
    from ditto_avatar.face.ditto.portrait import Terms, register_source

    options = ditto_options(Settings())
    terms = Terms(license, provenance, consent)
    with console.status("looking at the face") as status:

        def progress(stage: str, done: int, total: int) -> None:
            status.update(f"{stage} {done}/{total}")

        made = register_source(source, out, load_models(options), options, terms, progress=progress)
    console.print(f"{made}: DITTO_AVATARS_DIR={made.parent} DITTO_AVATAR={made.name}")


def _needs_torch() -> None:
    if find_spec("torch") is None or find_spec("onnxruntime") is None:
        raise Unavailable("This needs more packages: pip install 'ditto-avatar[ditto]'.")
