"""Methods of networks, compiled and kept as files between starts.

The compiler reads a method's Python at every start, also when its kernels are cached: one to four
seconds for each size of batch. What it made of the method is saved here as a whole, so that a later
start, or another process, reads it in a fraction of that.

The files are pickled code, like the kernels beside them: whoever can write to their folder can run
code in the server. Tried with torch 2.11 on a GPU and a CPU, and 2.13 on a CPU; older versions that
cannot save what they compile compile at each start.
"""

from __future__ import annotations

import hashlib
import io
import logging
import platform
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks.paths import Function
from ditto_avatar.face.ditto.runtime.kernel_cache import compiler_settings
from ditto_avatar.face.ditto.runtime.verdicts import Verdicts
from ditto_avatar.files import write_whole

log = logging.getLogger(__name__)

FOLDER = "graphs"
# One for each combination of code, card, libraries, weights and settings.
MOST_FOLDERS = 8


def graphs_folder(verdicts: Verdicts) -> Path | None:
    """The folder of graphs that fit what the verdicts are about, beside them; None where nothing is
    kept. Removes all but the folders used last."""
    if verdicts.folder is None:
        return None
    settings = sorted(compiler_settings().items())
    parent = verdicts.folder.parent / FOLDER
    folder = parent / verdicts.digest(python=platform.python_version(), settings=settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.touch()
    except OSError as error:
        log.warning("Compiled graphs cannot be kept in %s: %s.", folder, error.strerror)
    if not folder.is_dir():
        return None
    # Another server may remove folders at the same time.
    for path in sorted(parent.iterdir(), key=_used_at)[:-MOST_FOLDERS]:
        shutil.rmtree(path, ignore_errors=True)
    return folder


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


class KeptMethod:
    """A module's method, called with tensors and compiled for each of their layouts: read from
    `folder` where it was compiled before, else compiled and saved there.

    `compile_method` is `torch.compile` with its settings. `name` and `settings` tell methods apart
    that are compiled differently. A file that cannot be read or written is logged, and the method
    is compiled. One thread at a time may call it."""

    def __init__(
        self,
        owner: nn.Module,
        method: str,
        compile_method: Callable[[Function], Any],
        folder: Path,
        name: str,
        settings: str = "",
    ) -> None:
        self._owner = owner
        # Of the class: the module is an argument then, and its weights are no part of a file.
        self._function: Function = getattr(type(owner), method)
        self._compile = compile_method
        self._folder = folder
        self._name = f"{name}.{self._function.__qualname__}"
        self._settings = settings
        self._made: dict[str, Function] = {}
        self._plain: Function | None = None

    def __call__(self, *inputs: Tensor) -> Any:
        layout = _layout(inputs)
        if layout in self._made:
            return self._made[layout](self._owner, *inputs)
        digest = hashlib.sha256((self._settings + layout).encode()).hexdigest()[:12]
        path = self._folder / f"{self._name}.{digest}.graph"
        for make in (self._found, self._compiled):
            if self._plain is not None:
                break
            # Whatever an experimental part of torch raises, also when it is called first.
            try:
                made = make(path, inputs)
                result = made(self._owner, *inputs)
            except FileNotFoundError:
                continue
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                log.warning("The graph %s cannot be used: %r.", path, error)
                continue
            self._made[layout] = made
            return result
        self._made[layout] = self._plain = self._plain or self._compile(self._function)
        return self._plain(self._owner, *inputs)

    def _found(self, path: Path, _: Sequence[Tensor]) -> Function:
        content = io.BytesIO(path.read_bytes())
        return _unguarded(torch.compiler.load_compiled_function(content))

    def _compiled(self, path: Path, inputs: Sequence[Tensor]) -> Function:
        from torch._dynamo import config

        with config.patch(enable_aot_compile=True):
            made: Any = self._compile(self._function).aot_compile(((self._owner, *inputs), {}))
        try:
            _save(made, path)
        except Exception as error:  # of the disk, or of what cannot be pickled
            log.warning("The graph %s is not kept: %r.", path, error)
        return _unguarded(made)


def _save(made: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # torch writes for its own user alone, and may leave what it could not finish.
    with TemporaryDirectory(prefix="saving-", dir=path.parent) as folder:
        unfinished = Path(folder) / path.name
        made.save_compiled_function(str(unfinished))
        content = unfinished.read_bytes()
    write_whole(path, lambda part: part.write_bytes(content))


def _unguarded(made: Any) -> Function:
    """Without the compiler's own checks at each call. They would refuse a process that computes
    with another number of threads than the one that compiled; what matters besides is in the path:
    the layout of the inputs, our code, the card, the libraries and their settings."""
    made.disable_guard_check()
    return cast(Function, made)


def _layout(inputs: Sequence[Tensor]) -> str:
    """What a compiler takes for granted of tensors, also which of them are one and the same."""
    first = [next(i for i, other in enumerate(inputs) if other is each) for each in inputs]
    shapes = [(tuple(x.shape), x.stride(), str(x.dtype), str(x.device)) for x in inputs]
    return repr((shapes, first))
