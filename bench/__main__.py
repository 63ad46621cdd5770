"""`make bench`: every figure that needs no GPU and no key, one after the other."""

from __future__ import annotations

import sys

from bench import (
    cluster,
    cpu,
    embed,
    fleet,
    fronts,
    latency,
    latency_services,
    load,
    placing,
    reading,
    rtc,
    throughput,
    voices,
)
from bench.abuse import figures as abuse


def main() -> None:
    """Run the benches named on the command line, or all; each writes its file under results/."""
    benches = {
        "abuse": abuse.main,
        "cluster": cluster.main,
        "cpu": cpu.main,
        "embed": embed.main,
        "fleet": fleet.main,
        "fronts": fronts.main,
        "latency": latency.main,
        "latency_services": latency_services.main,
        "load": load.main,
        "placing": placing.main,
        "reading": reading.main,
        "rtc": rtc.main,
        "throughput": throughput.main,
        "voices": voices.main,
    }
    for name in sys.argv[1:] or benches:
        sys.argv[1:] = []
        benches[name]()


if __name__ == "__main__":
    main()
