"""How long a test waits for something before it says that it does not come.

One figure for all: it costs nothing where the thing comes, and a machine under four times its load
must not fail for time alone. Shorter than the end that `pyproject.toml` sets for a whole test, so
that the wait itself says what was missing.
"""

TEST_DEADLINE_S = 90.0
TEST_DEADLINE_MS = TEST_DEADLINE_S * 1000
