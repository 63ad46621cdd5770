"""The lock in requirements/ fits pyproject.toml, and says nothing about where packages lie."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
WANTED = {
    "run": [*PROJECT["dependencies"], *EXTRAS["voices"], *EXTRAS["rtc"], *EXTRAS["credentials"]],
    "test": [
        *PROJECT["dependencies"],
        *EXTRAS["dev"],
        *EXTRAS["ditto"],
        *EXTRAS["livekit"],
        *EXTRAS["voices"],
    ],
    "image-cpu": [
        *PROJECT["dependencies"],
        *EXTRAS["voices"],
        *EXTRAS["rtc"],
        *EXTRAS["postgres"],
        *EXTRAS["credentials"],
        *EXTRAS["s3"],
    ],
    "image-cuda": [
        *PROJECT["dependencies"],
        *EXTRAS["rtc"],
        *EXTRAS["postgres"],
        *EXTRAS["credentials"],
        *EXTRAS["s3"],
        *EXTRAS["ditto-gpu"],
    ],
    "local": [
        *PROJECT["dependencies"],
        *EXTRAS["voices"],
        *EXTRAS["hearing"],
        *EXTRAS["kokoro"],
    ],
}
# Comes after the lock, in the build that a machine wants (see the Makefile).
NOT_LOCKED = {"torch"}
_LINE = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?|[a-z0-9.\-]+==\S+(?: ; .+)? \\")


def locked(name: str) -> dict[str, list[str]]:
    """The versions of each package; some have one for each Python."""
    versions: dict[str, list[str]] = {}
    for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        if "==" in line:
            package, _, rest = line.partition("==")
            versions.setdefault(package, []).append(rest.split()[0])
    return versions


@pytest.mark.parametrize("name", WANTED)
def test_the_lock_holds_an_allowed_version_of_every_dependency(name: str) -> None:
    versions = locked(name)
    for line in WANTED[name]:
        wanted = Requirement(line)
        if wanted.name in NOT_LOCKED:
            assert wanted.name not in versions
            continue
        assert versions.get(wanted.name), f"{line} is not in the lock: make lock"
        for version in versions[wanted.name]:
            assert wanted.specifier.contains(version), f"{line}, locked {version}: make lock"


@pytest.mark.parametrize("name", WANTED)
def test_the_lock_is_names_versions_and_hashes_only(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert [line for line in text.splitlines() if not _LINE.fullmatch(line)] == []


@pytest.mark.parametrize("name", ["run", "image-cpu"])
def test_tests_run_with_the_versions_that_people_run(name: str) -> None:
    tested = locked("test")
    assert {package: tested.get(package) for package in locked(name)} == locked(name)


def test_what_is_added_for_voices_changes_nothing_that_is_there() -> None:
    run, added = locked("run"), locked("local")
    assert {package: added[package] for package in added if package in run} == {
        package: versions for package, versions in run.items() if package in added
    }
