"""The Dockerfiles, read by hadolint, and what each image needs to be complete."""

from __future__ import annotations

import fnmatch
import re

import pytest

from tests.deploy.tools import ROOT, run, unknown_variables

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", ["Dockerfile", "scripts/container/postgres/Dockerfile"])
def test_hadolint_has_nothing_to_say(path: str) -> None:
    run("hadolint", "--failure-threshold", "warning", path)


def test_the_image_sets_variables_that_are_settings() -> None:
    assert unknown_variables(DOCKERFILE) == set()


def test_everything_that_is_copied_reaches_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = [line[1:] for line in lines if line.startswith("!")]
    for copied in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for name in copied.replace("${VARIANT}", "cpu").split():
            assert any(fnmatch.fnmatch(name, pattern) for pattern in let_in), name
            assert (ROOT / name).exists(), name


@pytest.mark.parametrize("name", [".env", "data", ".git", "token.secret"])
def test_nothing_private_reaches_the_builder(name: str) -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    assert f"!{name}" not in lines


def test_the_cuda_image_has_what_triton_compiles_with() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    packages = re.search(r'"\$\{VARIANT\}" = cuda.+?fi\n', last_stage, re.DOTALL)
    assert packages is not None
    assert {"gcc", "libc6-dev", "python3-dev"} <= set(packages.group().split())


def test_kernels_are_cached_where_the_image_may_be_written() -> None:
    volumes = re.search(r"^VOLUME (.+)$", DOCKERFILE, re.MULTILINE)
    assert volumes is not None
    caches = re.findall(r"(?:TRITON|TORCHINDUCTOR)_CACHE_DIR=(/[a-z]+)/", DOCKERFILE)
    assert len(caches) == 2
    assert all(f'"{cache}"' in volumes.group() for cache in caches)


def test_the_server_runs_as_a_user_of_its_own() -> None:
    users = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)
    assert users == ["10001:10001"]
