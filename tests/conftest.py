from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.postgres import NotInstalled, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a real PostgreSQL server; skips where there is none."""
    try:
        with running_postgres() as url:
            yield url
    except NotInstalled as error:
        pytest.skip(str(error))
