"""Methods of networks, compiled and kept as files between starts.

A compiler that finds all its kernels still reads a method's Python anew at every start, one to four
seconds for each size of batch. What it made of the method is kept whole here, so that a later
start, or another process, reads it in a fraction of that.

The files are pickled code, like the kernels beside them: whoever can write to their folder can run
code in the server.
"""

from __future__ import annotations

import hashlib
import io
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks.paths import Function
from ditto_avatar.face.ditto.runtime.verdicts import Verdicts
from ditto_avatar.files import write_whole

log = logging.getLogger(__name__)

FOLDER = "graphs"
# Of different code, cards, libraries or weights.
MOST_FOLDERS = 8


def graphs_folder(verdicts: Verdicts) -> Path | None:
    """The folder of graphs that fit what the verdicts are about, beside them; None where nothing is
    kept. Folders that were not used for long are removed."""
    if verdicts.folder is None:
        return None
    about = repr(sorted(verdicts.about.items()))
    parent = verdicts.folder.parent / FOLDER
    folder = parent / hashlib.sha256(about.encode()).hexdigest()[:12]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.touch()  # used now
        found = sorted(parent.iterdir(), key=lambda path: path.stat().st_mtime)
    except OSError as error:
        log.warning("Compiled graphs are not kept in %s: %s.", folder, error.strerror)
        return None
    for path in found[:-MOST_FOLDERS]:
        shutil.rmtree(path, ignore_errors=True)
    return folder


class KeptMethod:
    """A module's method, called with tensors and compiled for each of their layouts: read from
    `folder` where it was compiled before, else compiled and written there.

    `compile_method` is `torch.compile` with its settings; `name` tells apart what the folder does
    not. What cannot be read or written costs a line in the log and is compiled as without a folder.
    One thread at a time may call it."""

    def __init__(
        self,
        owner: nn.Module,
        method: str,
        compile_method: Callable[[Function], Any],
        folder: Path,
        name: str,
    ) -> None:
        self._owner = owner
        # Of the class: the module is an argument then, and its weights are no part of a file.
        self._function: Function = getattr(type(owner), method)
        self._compile = compile_method
        self._folder = folder
        self._name = f"{name}.{self._function.__qualname__}"
        self._made: dict[str, Function] = {}
        self._plain: Function | None = None

    def __call__(self, *inputs: Tensor) -> Any:
        layout = repr([(tuple(x.shape), x.stride(), str(x.dtype), str(x.device)) for x in inputs])
        if layout in self._made:
            return self._made[layout](self._owner, *inputs)
        digest = hashlib.sha256(layout.encode()).hexdigest()[:12]
        path = self._folder / f"{self._name}.{digest}.graph"
        for make in (self._found, self._compiled):
            # Whatever this experimental part of torch raises, also at the first call.
            try:
                made = make(path, inputs)
                result = made(self._owner, *inputs)
            except FileNotFoundError:
                continue
            except Exception as error:
                log.warning("The graph %s cannot be used: %r.", path, error)
                continue
            self._made[layout] = made
            return result
        self._made[layout] = self._plain = self._plain or self._compile(self._function)
        return self._plain(self._owner, *inputs)

    def _found(self, path: Path, _: Sequence[Tensor]) -> Function:
        made: Any = torch.compiler.load_compiled_function(io.BytesIO(path.read_bytes()))
        # What they guard is in the path, but for how many threads a processor computes with, which
        # is another number in the process that compiled.
        made.disable_guard_check()
        return cast(Function, made)

    def _compiled(self, path: Path, inputs: Sequence[Tensor]) -> Function:
        from torch._dynamo import config

        with config.patch(enable_aot_compile=True):
            made: Any = self._compile(self._function).aot_compile(((self._owner, *inputs), {}))
        try:
            write_whole(path, lambda unfinished: made.save_compiled_function(str(unfinished)))
        except OSError as error:
            log.warning("The graph %s is not kept: %s.", path, error.strerror)
        return cast(Function, made)
