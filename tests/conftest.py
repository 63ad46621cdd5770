from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import ditto_avatar  # noqa: F401  first: it says how many threads NumPy gets
from tests.fakes.postgres import NotInstalled, Postgres, running_postgres


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests for pytest-xdist: the tests of a file share fixtures that are slow to make."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(str(item.path)))


@pytest.fixture(scope="session", autouse=True)
def nobodys_environment() -> Iterator[None]:
    """Hide the keys and settings of the person who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("DITTO_", "OPENAI_", "TTS_", "GOOGLE_")):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A real PostgreSQL server; skips where there is none."""
    try:
        with running_postgres() as server:
            yield server
    except NotInstalled as error:
        pytest.skip(str(error))


@pytest.fixture
def postgres(postgres_server: Postgres) -> Iterator[str]:
    """URL of an empty database of a real PostgreSQL server."""
    with postgres_server.database() as url:
        yield url
