"""Where compiled kernels are kept between starts."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from torch._inductor.runtime.cache_dir_utils import cache_dir

from ditto_avatar.face.ditto.runtime.kernel_cache import keep_kernels


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, "to be taken away again")
        monkeypatch.delenv(name)


def test_the_compiler_keeps_its_kernels_in_the_folder(tmp_path: Path) -> None:
    keep_kernels(tmp_path / "kernels")
    assert Path(cache_dir()) == tmp_path / "kernels" / "inductor"
    assert Path(os.environ["TRITON_CACHE_DIR"]) == tmp_path / "kernels" / "triton"


def test_a_folder_that_the_environment_names_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "own"))
    keep_kernels(tmp_path / "kernels")
    assert Path(cache_dir()) == tmp_path / "own"


def test_a_folder_that_cannot_be_made_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        keep_kernels(tmp_path / "file" / "kernels")
    assert "TRITON_CACHE_DIR" not in os.environ
    assert "are not kept" in caplog.text
