"""Which backend runs the networks: the quickest of those that work, with the reason for every one
passed over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from ditto_avatar.errors import Unavailable
from ditto_avatar.face.ditto.networks import RELEASED, Sizes
from ditto_avatar.face.ditto.options import Backend, Precision
from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.runtime.beside import Beside, Stopped
from ditto_avatar.face.ditto.runtime.candidates import (
    COMPILED,
    Candidate,
    asked_for,
    candidates,
)
from ditto_avatar.face.ditto.runtime.compiled import CompileOptions, compiled_runners
from ditto_avatar.face.ditto.runtime.compiling import compiling
from ditto_avatar.face.ditto.runtime.eager import eager_runners
from ditto_avatar.face.ditto.runtime.kept_graphs import graphs_folder
from ditto_avatar.face.ditto.runtime.parity import RunnersDiffer, check_precision, check_runners
from ditto_avatar.face.ditto.runtime.tensorrt.runners import tensorrt_runners
from ditto_avatar.face.ditto.runtime.verdicts import Verdicts
from ditto_avatar.face.ditto.runtime.warming import Tell, measure, quick_convolutions, warm_up

log = logging.getLogger(__name__)

COMPILE_OPTIONS = {
    "fused": CompileOptions(fused=True),
    "compiled": CompileOptions(),
    "graphs": CompileOptions(compiler=None),
}
# Nobody can see from outside whether a file of an engine, or a kernel under another version of
# Triton, computes what it should.
CHECKED = ("tensorrt", "fused")
# Graphs of sixteen frames keep three gigabytes for themselves.
SMALL_BATCHES = (1, 4)
VALID_FRAMES = 10  # that a clip adds while streaming


def choose_runners(
    networks: Mapping[str, nn.Module],
    device: torch.device,
    backend: Backend = "auto",
    tell: Tell | None = None,
    sizes: Sizes = RELEASED,
    steps: Collection[int] = (10,),
    checkpoints: Path | None = None,
    precision: Precision = "half",
    small: bool = False,
    limited: bool = False,
    verdicts: Verdicts | None = None,
    beside: Beside | None = None,
) -> Runners:
    """The quickest backend, or the one asked for, warmed up for clips of `steps` diffusion steps.
    Where there are engines, they are timed against the best of the others. Compiling takes minutes
    the first time and seconds from then on. Engines lie in the folder `checkpoints` that the
    networks come from. With the `precision` int8 the kernels of our own multiply integers of eight
    bits, unless faces become worse than 44 dB by it. With `small` batches are for cards of little
    memory; `limited` says that no other process may take any of it. Comparisons are made once:
    `verdicts` keeps them. `beside` something that draws, what is timed is done between its batches.

    Raises `Unavailable` when the backend asked for cannot be used here, and `Stopped`."""
    tell = tell or log.info
    table = candidates(device, checkpoints, sizes)
    made = _Networks(
        networks,
        device,
        sizes,
        tuple(steps),
        tell,
        eight=precision == "int8",
        small=small,
        # Without a folder for it nobody would find what children compiled.
        children_from=checkpoints if verdicts and verdicts.folder and not limited else None,
        verdicts=verdicts or Verdicts(),
        graphs=graphs_folder(verdicts or Verdicts()),
        beside=beside or Beside(),
    )
    if backend != "auto":
        candidate = asked_for(table, backend)
        if candidate.refused is not None:
            raise Unavailable(f"The backend {backend} cannot be used: {candidate.refused}.")
        return made.runners(candidate)
    chosen = made.chosen(table)
    log.info("Ditto runs on %s with the backend %s.", device, chosen.name)
    return chosen


def interim_runners(
    networks: Mapping[str, nn.Module],
    device: torch.device,
    tell: Tell,
    sizes: Sizes = RELEASED,
    steps: Collection[int] = (10,),
) -> Runners:
    """Runners that are there within seconds, for the time in which quicker ones are compiled: the
    networks recorded as they are, in small batches, or one operator at a time where that fails."""
    made = _Networks(networks, device, sizes, tuple(steps), tell, small=True)
    graphs = "graphs" if device.type == "cuda" else "eager"
    found = made.first([Candidate(graphs), Candidate("eager")])
    assert found is not None
    return found


@dataclass(frozen=True, slots=True)
class _Networks:
    """What backends are made of and judged by."""

    networks: Mapping[str, nn.Module]
    device: torch.device
    sizes: Sizes
    steps: tuple[int, ...]
    tell: Tell
    eight: bool = False
    small: bool = False
    children_from: Path | None = None
    verdicts: Verdicts = field(default_factory=Verdicts)
    graphs: Path | None = None
    beside: Beside = field(default_factory=Beside)

    @property
    def dtype(self) -> torch.dtype:
        return torch.float16 if self.device.type == "cuda" else torch.float32

    def chosen(self, table: Sequence[Candidate]) -> Runners:
        """The quickest. Engines were built before; of the others one is prepared, as each of them
        takes minutes. What was the quicker one of both the last time is made alone."""
        groups = [
            [candidate for candidate in table if candidate.name == "tensorrt"],
            [candidate for candidate in table if candidate.name != "tensorrt"],
        ]
        digests = [found.path.name for each in groups[0] for found in each.engines.values()]
        about = {"engines": sorted(digests), "steps": self.steps, "small": self.small}
        kept = self.verdicts.find("quickest", **about) if digests else None
        if kept is not None:
            groups.sort(key=lambda group: all(each.name != kept.get("backend") for each in group))
        made: list[Runners] = []
        for group in groups:
            if kept is None or not made:
                made += [found] if (found := self.first(group)) is not None else []
        if not made:
            raise Unavailable(f"No backend can be used on {self.device}.")
        if len(made) == 1:
            return made[0]
        quickest = self.quickest(made)
        self.verdicts.keep("quickest", {"backend": quickest.name}, **about)
        return quickest

    def first(self, group: Sequence[Candidate]) -> Runners | None:
        """The first of a group that works. The last one, `eager`, raises what is wrong with it."""
        for candidate in group:
            if candidate.refused is not None:
                log.info("Ditto backend %s passed over: %s.", candidate.name, candidate.refused)
                continue
            try:
                return self.runners(candidate)
            except Stopped:
                raise
            except Exception as error:  # whatever a compiler or driver raises: the next is tried
                if candidate.name == "eager":
                    raise
                log.warning("Ditto backend %s failed and is passed over: %s", candidate.name, error)
                # What was compiled counts against the number that torch compiles of a function.
                torch.compiler.reset()
        return None

    def runners(self, candidate: Candidate) -> Runners:
        """A backend that is warmed up and, where it could compute something else, compared."""
        # Beside something that draws the setting is made for each recording alone.
        timed = nullcontext() if self.beside.shared else quick_convolutions(self.device)
        with timed:
            if self.eight and candidate.name == "fused":
                try:
                    return self._judged(candidate, "precision", self._check_precision)
                except RunnersDiffer as error:
                    log.warning("DITTO_PRECISION=int8 is refused: %s", error)
                    torch.compiler.reset()
            check = self._check_runners if candidate.name in CHECKED else None
            return self._judged(candidate, "parity", check)

    def _judged(
        self, candidate: Candidate, question: str, check: Callable[[Runners], None] | None
    ) -> Runners:
        """A backend that passes `check`, now or the last time. Raises `RunnersDiffer` for one that
        does not, before it is made if that is known."""
        eight = question == "precision"
        digests = sorted(found.path.name for found in candidate.engines.values())
        key = {"backend": candidate.name, "engines": digests, "small": self.small}
        key |= {"steps": self.steps, "sizes": self.sizes}
        kept = None if check is None else self.verdicts.find(question, **key)
        if kept is not None and kept.get("same") is not True:
            raise RunnersDiffer(f"{kept.get('reason')} ({self.verdicts.where(question, **key)})")
        found = self._warm(candidate, eight)
        if check is None or kept is not None:
            return found
        self.tell(f"comparing {found.name} with the networks")
        try:
            # On this thread: nobody else uses what is compared yet.
            check(found)
        except RunnersDiffer as error:
            self.verdicts.keep(question, {"same": False, "reason": str(error)}, **key)
            raise
        self.verdicts.keep(question, {"same": True}, **key)
        return found

    def _check_runners(self, found: Runners) -> None:
        plain = eager_runners(self.networks, self.device, self.dtype)
        check_runners(found, plain, self.sizes, min(self.steps))

    def _check_precision(self, found: Runners) -> None:
        check_precision(found, eager_runners(self.networks, self.device), self.sizes)

    def _warm(self, candidate: Candidate, eight_bits: bool) -> Runners:
        """A backend with everything compiled and recorded; what other processes compile is left to
        them where nothing is known to be kept."""
        key = {"backend": candidate.name, "eight": eight_bits, "small": self.small}
        key["graphs"] = self.graphs and self.graphs.name
        alone = self.children_from is None or candidate.name not in COMPILED
        if alone or self.verdicts.find("compiled", **key):
            found = self._made(candidate, eight_bits)
            warm_up(found, self.tell, self.sizes, self.steps, self.beside)
            return found
        options = self._options(candidate, eight_bits)
        assert self.children_from is not None
        with compiling(options, self.children_from, self.device, self.beside, self.tell):
            found = self._made(candidate, eight_bits)
            warm_up(found, self.tell, self.sizes, self.steps, self.beside)
        self.verdicts.keep("compiled", {"same": True}, **key)
        return found

    def _made(self, candidate: Candidate, eight_bits: bool = False) -> Runners:
        if candidate.name == "eager":
            return eager_runners(self.networks, self.device, self.dtype)
        if candidate.name == "tensorrt":
            return tensorrt_runners(candidate.engines, self.device, self.sizes)
        options = self._options(candidate, eight_bits)
        return compiled_runners(self.networks, self.device, self.dtype, options)

    def _options(self, candidate: Candidate, eight_bits: bool) -> CompileOptions:
        options = replace(
            COMPILE_OPTIONS[candidate.name],
            eight_bits=eight_bits,
            sizes=self.sizes,
            kept=self.graphs,
        )
        if self.small:
            options = replace(options, batches=SMALL_BATCHES, clip_batches=SMALL_BATCHES)
        return options

    def quickest(self, made: Sequence[Runners]) -> Runners:
        """The one that needs the least of the device for a viewer."""
        steps = max(self.steps)
        shares: dict[str, float] = {}
        for runners in made:
            measured = partial(measure, runners, steps, self.sizes)
            shares[runners.name] = self.beside.on_device(measured).of_viewer(VALID_FRAMES)
        chosen = min(made, key=lambda runners: shares[runners.name])
        shown = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
        log.info("A viewer needs of %s: %s.", self.device, shown)
        return chosen
