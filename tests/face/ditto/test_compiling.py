"""Several processes compile for a backend at once, and none outlives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from ditto_avatar.face.ditto.runtime import compiling as module
from ditto_avatar.face.ditto.runtime.beside import Beside, Stopped
from ditto_avatar.face.ditto.runtime.compiled import CompileOptions, compiled_runners
from ditto_avatar.face.ditto.runtime.compiling import Part, compile_part, compiling, parts_of
from ditto_avatar.face.ditto.runtime.warming import clip_inputs, frame_inputs
from tests.deadlines import TEST_DEADLINE_S
from tests.face.ditto.small import SMALL, small_networks

CPU = torch.device("cpu")
OPTIONS = CompileOptions(batches=(1, 4), clip_batches=(1,))
NOTE = """
import json, sys
job = json.loads(sys.argv[1])
open(job["checkpoints"] + "/" + job["kind"] + str(job["batch"]), "w")
"""
FAIL = "import sys; sys.exit(3)"
WAIT = """
import json, os, sys
open(json.loads(sys.argv[1])["checkpoints"] + "/pid" + str(os.getpid()), "w")
sys.stdin.read()
"""


def program(text: str) -> Any:
    def made(job: Mapping[str, Any]) -> Sequence[str]:
        return [sys.executable, "-c", text, json.dumps(job)]

    return made


@pytest.fixture(autouse=True)
def _two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "children_at_once", lambda _: 2)


def test_every_size_is_a_part() -> None:
    assert parts_of(OPTIONS) == [Part("frame", 1), Part("frame", 4), Part("clip", 1)]


def test_what_follows_finds_every_part_compiled(tmp_path: Path) -> None:
    told: list[str] = []
    with compiling(OPTIONS, tmp_path, CPU, Beside(), told.append, program(NOTE)):
        assert {path.name for path in tmp_path.iterdir()} == {"frame1", "frame4", "clip1"}
    assert told == ["compiling in 2 processes"]


def test_a_part_that_fails_is_left_to_the_one_that_draws(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with compiling(OPTIONS, tmp_path, CPU, Beside(), lambda _: None, program(FAIL)):
        pass
    assert caplog.text.count("failed with exit code 3") == 3


def test_without_room_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "children_at_once", lambda _: 0)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started"))
    with compiling(OPTIONS, tmp_path, CPU, Beside(), lambda _: None):
        assert list(tmp_path.iterdir()) == []


def test_stopping_kills_the_children_and_starts_no_more(tmp_path: Path) -> None:
    beside = Beside()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            with compiling(OPTIONS, tmp_path, CPU, beside, lambda _: None, program(WAIT)):
                raised.append(AssertionError("it went on"))
        except Stopped as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    watcher = threading.Event()
    for _ in range(round(TEST_DEADLINE_S / 0.02)):
        if len(list(tmp_path.iterdir())) == 2:
            break
        watcher.wait(0.02)
    beside.stop()
    thread.join(TEST_DEADLINE_S)
    assert [type(error) for error in raised] == [Stopped]
    pids = [int(path.name.removeprefix("pid")) for path in tmp_path.iterdir()]
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_child_ends_with_the_process_that_started_it() -> None:
    """Whose end of the pipe closes however it ends."""
    text = "from ditto_avatar.face.ditto.runtime.compiling import _end_with_parent as e; e()"
    child = subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE)
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(TEST_DEADLINE_S) == 1


@torch.inference_mode()
def test_a_recording_finds_what_was_compiled_ahead() -> None:
    options = CompileOptions(compiler="eager", batches=(2,), clip_batches=(2,))
    runners = compiled_runners(small_networks(), CPU, torch.float32, options)
    made = {"frame": frame_inputs(runners, 2, SMALL), "clip": clip_inputs(runners, 2, steps=2)}
    again = Counter[str]()
    for kind, inputs in made.items():
        runner = getattr(runners, kind)
        runner.compile_ahead(*inputs)
        before = counters["stats"]["unique_graphs"]
        runner(*(tensor.clone() for tensor in inputs))  # a recording has tensors of its own
        again[kind] = counters["stats"]["unique_graphs"] - before
    assert again == {"frame": 0, "clip": 0}


@torch.inference_mode()
def test_what_a_child_kept_is_not_even_traced_again(tmp_path: Path) -> None:
    options = CompileOptions(
        compiler="eager", batches=(2,), clip_batches=(2,), kept=tmp_path, motion_dtype=torch.float32
    )
    jobs: list[Mapping[str, Any]] = []

    def noting(job: Mapping[str, Any]) -> Sequence[str]:
        jobs.append(json.loads(json.dumps(job)))
        return [sys.executable, "-c", ""]

    with compiling(options, tmp_path, CPU, Beside(), lambda _: None, noting):
        pass
    for job in jobs:
        compile_part(job, small_networks(), SMALL)
    runners = compiled_runners(small_networks(), CPU, torch.float32, options)
    plain = compiled_runners(
        small_networks(), CPU, torch.float32, replace(options, compiler=None, kept=None)
    )
    before = counters["stats"]["unique_graphs"]
    made = {"frame": frame_inputs(runners, 2, SMALL), "clip": clip_inputs(runners, 2, steps=3)}
    for kind, inputs in made.items():
        found, expected = getattr(runners, kind)(*inputs), getattr(plain, kind)(*inputs)
        assert torch.allclose(found, expected, atol=1e-5)
    assert counters["stats"]["unique_graphs"] == before


@pytest.mark.parametrize(("kind", "batch"), [("frame", 4), ("clip", 1)])
def test_a_child_compiles_its_part_alone(
    monkeypatch: pytest.MonkeyPatch, kind: str, batch: int
) -> None:
    called: list[tuple[str, int]] = []
    made = compiled_runners

    def noting(*arguments: Any) -> Any:
        runners = made(*arguments)
        for name in ("frame", "clip"):
            runner = getattr(runners, name)
            inner = runner.compile_ahead

            def ahead(*inputs: Any, name: str = name, inner: Any = inner) -> None:
                called.append((name, len(inputs[0])))

            monkeypatch.setattr(runner, "compile_ahead", ahead)
        return runners

    monkeypatch.setattr(module, "compiled_runners", noting)
    options = asdict(replace(OPTIONS, compiler=None, motion_dtype=torch.float32))
    options["motion_dtype"] = "float32"
    del options["sizes"]
    job = json.loads(
        json.dumps({"device": "cpu", "kind": kind, "batch": batch, "options": options})
    )
    compile_part(job, small_networks(), SMALL)
    assert called == [(kind, batch)]
