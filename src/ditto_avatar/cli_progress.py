"""Show a download on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ditto_avatar.models.hub import Progress, Tell


@contextmanager
def download_bar(console: Console) -> Iterator[Tell]:
    """Show a bar for as long as the block runs; it gives what a download is to tell."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("asking the hub", total=None)

        def tell(progress: Progress) -> None:
            bar.update(
                task, description=progress.path, completed=progress.done, total=progress.total
            )

        yield tell
