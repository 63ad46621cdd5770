"""NVIDIA's libraries for engines, and the GPU they work on, looked up when they are used.

There are two of one interface: TensorRT, and TensorRT for RTX cards, which can be installed from
PyPI and builds engines without a GPU, for one card or several.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import logging
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ditto_avatar.errors import InvalidInput, Unavailable

log = logging.getLogger(__name__)

RTX_PACKAGES = "onnxruntime-ep-nv-tensorrt-rtx-cu12 and tensorrt-rtx-cu12-bindings"
# NVIDIA's own package, and the bare interface that is on PyPI.
_RTX_MODULES = ("tensorrt_rtx", "tensorrt_rtx_bindings")
# The package on PyPI that carries what the bare interface is for; the parser needs the first.
_RTX_CARRIER = "onnxruntime_ep_nv_tensorrt_rtx"
_RTX_LIBRARIES = ("libtensorrt_rtx.so.*", "libtensorrt_onnxparser_rtx.so.*")
VERBOSE = 5  # below logging.DEBUG: hundreds of thousands of lines


@dataclass(frozen=True, slots=True)
class Library:
    """One of the libraries. `version` tells an engine of one from those of the other: neither runs
    the other's."""

    api: Any
    version: str
    rtx: bool

    @property
    def name(self) -> str:
        """What its maker calls it."""
        return "TensorRT for RTX" if self.rtx else "TensorRT"

    @property
    def targets(self) -> tuple[str, ...]:
        """The architectures ('sm_89') that it builds for on any machine."""
        kinds = getattr(self.api, "ComputeCapability", None)
        names = () if kinds is None else tuple(kinds.__members__)
        return tuple(f"sm_{name[2:]}" for name in names if name[:2] == "SM")

    @property
    def logger(self) -> Any:
        """The one logger of this process: the library keeps the first that it is given."""
        return _logger_of(self.api)


def libraries() -> list[Library]:
    """List those that are installed, TensorRT first."""
    found = []
    if (api := _imported("tensorrt")) is not None:
        found.append(Library(api, api.__version__, rtx=False))
    if (api := _rtx()) is not None:
        found.append(Library(api, f"rtx {api.__version__}", rtx=True))
    return found


def load_tensorrt() -> Library:
    """Take the first that is installed. Raises `Unavailable` where there is none."""
    found = libraries()
    if not found:
        raise Unavailable(
            "TensorRT is not installed; install NVIDIA's package 'tensorrt' (10 or 11), or "
            f"{RTX_PACKAGES} for RTX cards, or use the backend compiled."
        )
    return found[0]


def load_rtx(targets: Sequence[str]) -> Library:
    """Take the one that builds for other machines' GPUs. Raises `Unavailable` where it is not
    installed, `InvalidInput` for an architecture that it does not know."""
    for library in libraries():
        if library.rtx:
            check_targets(library, targets)
            return library
    raise Unavailable(
        f"TensorRT for RTX is not installed, which builds ahead of time: install {RTX_PACKAGES}."
    )


def library_of(version: str) -> Library:
    """Take the one that engines of `version` were built with. Raises `Unavailable`."""
    for library in libraries():
        if library.version == version:
            return library
    raise Unavailable(f"TensorRT {version}, which an engine was built with, is not installed.")


def check_targets(library: Library, targets: Iterable[str]) -> None:
    """Raise `InvalidInput` for an architecture that `library` cannot build for."""
    unknown = [target for target in targets if target not in library.targets]
    if unknown:
        raise InvalidInput(
            f"{library.name} does not build for {', '.join(unknown)}; it builds for "
            f"{', '.join(library.targets)}."
        )


def architecture(device: torch.device) -> str:
    """The GPU's compute capability, as in 'sm_90'. Raises `Unavailable` without one."""
    if device.type != "cuda":
        raise Unavailable(
            f"Engines are built on the CUDA device they run on, and the device is {device}; "
            "`ditto-avatar engines build --for` builds for others."
        )
    major, minor = torch.cuda.get_device_capability(device)
    return f"sm_{major}{minor}"


def active(device: torch.device) -> AbstractContextManager[object]:
    """Makes `device` the one that the library works on: it takes whichever is current."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _rtx() -> Any | None:
    for name in _RTX_MODULES:
        if importlib.util.find_spec(name) is not None:
            _open_carried()
            return _imported(name)
    return None


def _open_carried() -> None:
    """Open the libraries that the bare interface asks for by their names, where a package carries
    them: then nobody needs to set a search path."""
    spec = importlib.util.find_spec(_RTX_CARRIER)
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        for pattern in _RTX_LIBRARIES:
            for path in Path(folder).glob(pattern):
                try:
                    ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
                except OSError as error:
                    log.warning("%s cannot be opened: %s", path.name, error)


def _imported(name: str) -> Any | None:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if importlib.util.find_spec(name) is not None:
            log.warning("%s is installed and cannot be used: %s", name, error)
        return None


@cache
def _logger_of(api: Any) -> Any:
    severity = api.ILogger.Severity
    levels = {
        severity.INTERNAL_ERROR: logging.ERROR,
        severity.ERROR: logging.ERROR,
        severity.WARNING: logging.WARNING,
        severity.INFO: logging.DEBUG,
        severity.VERBOSE: VERBOSE,
    }

    class Logger(api.ILogger):  # type: ignore[misc]
        """Hands the library's messages on."""

        def __init__(self) -> None:
            api.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            """Called by the library."""
            log.log(levels[severity], "TensorRT: %s", text)

    return Logger()
