"""`make bench`: every figure that needs no GPU and no key, one after the other."""

from __future__ import annotations

from bench import cpu


def main() -> None:
    """Run all benches; each writes its own file under results/."""
    cpu.main()


if __name__ == "__main__":
    main()
