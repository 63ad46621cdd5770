"""Comparisons are made once for the same files, code and machine."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ditto_avatar.face.ditto.audio import Encode, OnnxEncoder
from ditto_avatar.face.ditto.load_controller import Capacity
from ditto_avatar.face.ditto.runtime import choice
from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.runtime.candidates import Candidate
from ditto_avatar.face.ditto.runtime.choice import choose_runners
from ditto_avatar.face.ditto.runtime.parity import check_runners
from ditto_avatar.face.ditto.runtime.sound import encoder as sound
from ditto_avatar.face.ditto.runtime.sound.encoder import DeviceEncoder, choose_encoder
from ditto_avatar.face.ditto.runtime.verdicts import (
    MOST_KEPT,
    Verdicts,
    code_key,
    verdicts_of,
)
from tests.face.ditto.hubert import TINY, write_hubert
from tests.face.ditto.small import SMALL, small_networks
from tests.face.ditto.test_runtime import eager

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def verdicts(tmp_path: Path) -> Verdicts:
    return Verdicts(tmp_path / "verdicts", {"card": "one", "code": "abc"})


def test_a_verdict_is_found_under_its_own_key_alone(verdicts: Verdicts) -> None:
    assert verdicts.find("parity", backend="fused") is None
    verdicts.keep("parity", {"same": True}, backend="fused")
    assert verdicts.find("parity", backend="fused") == {"same": True}
    assert verdicts.find("parity", backend="compiled") is None
    assert verdicts.find("sound", backend="fused") is None
    for changed in ({"card": "two", "code": "abc"}, {"card": "one", "code": "abd"}):
        assert replace(verdicts, about=changed).find("parity", backend="fused") is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": {}}', b"\xff\xfe", b'{"key": 1}'])
def test_a_damaged_verdict_is_none(verdicts: Verdicts, content: bytes) -> None:
    verdicts.keep("parity", {"same": True}, backend="fused")
    path = verdicts.where("parity", backend="fused")
    assert path is not None
    path.write_bytes(content)
    assert verdicts.find("parity", backend="fused") is None
    verdicts.keep("parity", {"same": True}, backend="fused")
    assert verdicts.find("parity", backend="fused") == {"same": True}


def test_a_file_that_was_renamed_is_no_verdict_of_that_name(verdicts: Verdicts) -> None:
    verdicts.keep("parity", {"same": True}, backend="fused")
    one, other = (verdicts.where("parity", backend=name) for name in ("fused", "compiled"))
    assert one is not None
    assert other is not None
    one.rename(other)
    assert verdicts.find("parity", backend="compiled") is None


def test_old_verdicts_go(verdicts: Verdicts) -> None:
    for number in range(MOST_KEPT + 5):
        verdicts.keep("parity", {"same": True}, number=number)
    assert verdicts.folder is not None
    assert len(list(verdicts.folder.iterdir())) == MOST_KEPT
    assert verdicts.find("parity", number=MOST_KEPT + 4) is not None


def test_a_folder_that_cannot_be_written_costs_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    Verdicts(tmp_path / "file").keep("parity", {"same": True})
    assert "is not kept" in caplog.text
    Verdicts().keep("parity", {"same": True})
    assert Verdicts().find("parity") is None


def test_every_source_file_is_in_the_key_of_the_code(tmp_path: Path) -> None:
    (tmp_path / "runtime").mkdir()
    file = tmp_path / "runtime" / "a.py"
    keys = set()
    for text in ("x = 1", "x = 2"):
        file.write_text(text)
        code_key.cache_clear()
        keys.add(code_key(tmp_path))
    file.rename(tmp_path / "a.py")
    code_key.cache_clear()
    keys.add(code_key(tmp_path))
    code_key.cache_clear()
    assert len(keys) == 3


def test_verdicts_name_the_card_and_are_kept_for_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = SimpleNamespace(name="H100", total_memory=80)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    verdicts_of(tmp_path, CUDA, weights="w").keep("parity", {"same": True})
    assert verdicts_of(tmp_path, CUDA, weights="w").find("parity") is not None
    assert verdicts_of(tmp_path, CUDA, weights="v").find("parity") is None
    card.name = "H200"
    assert verdicts_of(tmp_path, CUDA, weights="w").find("parity") is None
    assert verdicts_of(tmp_path, CPU).folder is None


# Backends against the networks ----------------------------------------------------------------


class Judged:
    """Chooses among two backends on the processor, and counts comparisons and what is made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, verdicts: Verdicts, wrong: bool) -> None:
        self.verdicts = verdicts
        self.made: list[str] = []
        self.compared: list[str] = []

        def made(*arguments: Any) -> Runners:
            name = arguments[-1].backend
            self.made.append(name)
            runners = eager()
            flipped = replace(runners, frame=lambda *inputs: runners.frame(*inputs).flip(-1))
            return replace(flipped if wrong else runners, name=name, batches=(1,))

        check = check_runners

        def compared(found: Runners, *rest: Any) -> None:
            self.compared.append(found.name)
            check(found, *rest)

        table = [Candidate("fused"), Candidate("eager")]
        monkeypatch.setattr(choice, "compiled_runners", made)
        monkeypatch.setattr(choice, "check_runners", compared)
        monkeypatch.setattr(choice, "candidates", lambda *_: table)

    def choose(self, verdicts: Verdicts | None = None, steps: int = 2) -> str:
        return choose_runners(
            small_networks(),
            CPU,
            sizes=SMALL,
            steps=(steps,),
            verdicts=verdicts or self.verdicts,
        ).name


def test_a_backend_is_compared_once(monkeypatch: pytest.MonkeyPatch, verdicts: Verdicts) -> None:
    judged = Judged(monkeypatch, verdicts, wrong=False)
    assert [judged.choose() for _ in range(2)] == ["fused", "fused"]
    assert judged.compared == ["fused"]
    assert judged.choose(steps=3) == "fused"
    assert judged.choose(replace(verdicts, about={"card": "another"})) == "fused"
    assert judged.compared == ["fused"] * 3


def test_a_backend_that_draws_something_else_is_not_made_again(
    monkeypatch: pytest.MonkeyPatch, verdicts: Verdicts, caplog: pytest.LogCaptureFixture
) -> None:
    judged = Judged(monkeypatch, verdicts, wrong=True)
    assert [judged.choose() for _ in range(2)] == ["eager", "eager"]
    assert judged.made == ["fused"]
    kept = next(iter((verdicts.folder or Path()).glob("parity.*.json")))
    assert f"({kept})" in caplog.records[-1].getMessage(), "for a person who wants it made again"
    kept.unlink()
    assert judged.choose() == "eager"
    assert judged.made == ["fused"] * 2


def test_a_backend_that_fails_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, verdicts: Verdicts
) -> None:
    """No memory, no compiler: the next start may have them."""
    judged = Judged(monkeypatch, verdicts, wrong=False)
    with monkeypatch.context() as patch:
        patch.setattr(choice, "compiled_runners", _broken)
        assert judged.choose() == "eager"
    assert judged.choose() == "fused"


def _broken(*_: object) -> Runners:
    raise RuntimeError("out of memory")


def test_the_slower_of_engines_and_others_is_not_made_again(
    engine_checkpoints: Path, fake_tensorrt: None, monkeypatch: pytest.MonkeyPatch,
    verdicts: Verdicts,
) -> None:  # fmt: skip
    from ditto_avatar.face.ditto.runtime.candidates import candidates

    times = {"tensorrt": Capacity(2.0, 1.0), "eager": Capacity(1.0, 1.0)}
    measured: list[str] = []

    def measure(runners: Runners, *_: object) -> Capacity:
        measured.append(runners.name)
        return times[runners.name]

    table = [*candidates(CUDA, engine_checkpoints, SMALL)[:1], Candidate("eager")]
    monkeypatch.setattr(choice, "measure", measure)
    monkeypatch.setattr(choice, "candidates", lambda *_: table)
    choose = Judged.choose
    self = SimpleNamespace(verdicts=verdicts)
    assert choose(self) == "eager"  # type: ignore[arg-type]
    monkeypatch.setattr(choice, "tensorrt_runners", _broken)
    assert choose(self) == "eager"  # type: ignore[arg-type]
    assert measured == ["tensorrt", "eager"]


# Sound against ONNX Runtime -------------------------------------------------------------------


class Sound:
    """Chooses the audio encoder as on a GPU, whose place the processor takes."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, verdicts: Verdicts) -> None:
        self.path, self.verdicts = path, verdicts
        self.opened = 0
        made = sound.DeviceEncoder

        def on_processor(network: Any, device: torch.device, *rest: Any, **more: Any) -> Any:
            return made(network, CPU, batches=more.get("batches", (1, 4)))

        monkeypatch.setattr(sound, "DeviceEncoder", on_processor)

    def choose(self, key: str = "file") -> Encode:
        def opened() -> Encode:
            self.opened += 1
            return OnnxEncoder(self.path)

        return choose_encoder(self.path, CUDA, opened, (1,), self.verdicts, key)


def test_sound_is_compared_with_onnx_runtime_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdicts: Verdicts
) -> None:
    path = write_hubert(tmp_path / "encoder.onnx", TINY)
    chooser = Sound(path, monkeypatch, verdicts)
    for _ in range(2):
        assert isinstance(chooser.choose(), DeviceEncoder)
    assert chooser.opened == 1
    assert isinstance(chooser.choose("another file"), DeviceEncoder)
    assert chooser.opened == 2


def test_sound_that_differs_stays_with_onnx_runtime_and_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verdicts: Verdicts,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = write_hubert(tmp_path / "encoder.onnx", TINY)
    chooser = Sound(path, monkeypatch, verdicts)
    monkeypatch.setattr(sound, "EXACT", 0.0)
    assert isinstance(chooser.choose(), OnnxEncoder)
    monkeypatch.setattr(sound, "read_network", lambda _: pytest.fail("it is known to differ"))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert isinstance(chooser.choose(), OnnxEncoder)
    assert re_found("differ from ONNX Runtime by .* in single precision", caplog.text)


def re_found(pattern: str, text: str) -> bool:
    import re

    return re.search(pattern, text) is not None
