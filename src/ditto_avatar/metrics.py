"""Measure a server, as Prometheus metrics in a registry of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ditto_avatar.backend_metrics import BackendMetrics

_STAGE_BUCKETS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.7, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0)
_SHORT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)


class Metrics:
    """Hold the metrics of one server."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)
        self.stage_s = histogram(
            "ditto_turn_stage_seconds",
            "Time from the text's arrival to each stage of a turn",
            ["stage"],
            buckets=_STAGE_BUCKETS,
        )
        self.turns = counter("ditto_turns", "Turns by kind and how they ended", ["kind", "state"])
        self.barge_in_s = histogram(
            "ditto_barge_in_seconds",
            "Time from an interruption until nothing of the old turn runs",
            buckets=_SHORT_BUCKETS,
        )
        self.drift_s = histogram(
            "ditto_av_drift_seconds",
            "Difference between sound and picture as browsers measure it",
            buckets=(0.01, 0.02, 0.04, 0.08, 0.16, 0.32),
        )
        self.errors = counter("ditto_errors", "Errors, by code", ["code"])
        self.fallbacks = counter(
            "ditto_fallbacks", "Failures after which another engine took over", ["part", "failed"]
        )
        self.worker_takeovers = counter(
            "ditto_worker_takeovers",
            "Streams that went on elsewhere when their worker was lost",
            [],
        )
        self.sessions_moved = counter(
            "ditto_sessions_moved",
            "Sessions between servers of one database: taken_over in mid-answer, lost to another "
            "server, forwarded to the one that holds them",
            ["how"],
        )
        self.connections_ended = counter(
            "ditto_connections_ended",
            "Connections ended by a limit or for what they sent, by reason",
            ["reason"],
        )
        self.sound_refused_s = counter(
            "ditto_sound_refused_seconds",
            "Seconds of microphone sound that were more than a visitor may send",
        )
        self.budget_used = gauge(
            "ditto_budget_used", "What paid services were used for today (UTC), by unit", ["unit"]
        )
        self.budget_limit = gauge(
            "ditto_budget_limit",
            "What paid services may be used for in a day, by unit; absent without a limit",
            ["unit"],
        )
        self.budget_refused = counter(
            "ditto_budget_refused",
            "Requests to paid services that were not made because a budget was used up",
            ["unit"],
        )
        self.answers_cut = counter(
            "ditto_answers_cut", "Answers that ended before their text, by reason", ["reason"]
        )
        self.speech_children_lost = counter(
            "ditto_speech_children_lost",
            "Processes of local voices that died, hung or sent nonsense, and were replaced",
            ["reason"],
        )
        self.credentials_failed = counter(
            "ditto_credentials_failed", "Films kept without content credentials", []
        )
        self.segments = counter(
            "ditto_segments", "Segments by the way they were sent to a viewer", ["transport"]
        )
        self.rtc_peers = gauge("ditto_rtc_peers", "Places of WebRTC that are taken")
        self.rtc_connections = counter(
            "ditto_rtc_connections", "Offers of WebRTC, by what became of them", ["result"]
        )
        self.rtc_fallbacks = counter(
            "ditto_rtc_fallbacks", "Viewers that went back to fragments, by reason", ["reason"]
        )
        self.rtc_underruns = counter(
            "ditto_rtc_underruns", "Pictures that were missing in the middle of a sentence"
        )
        self.rtc_bridges = counter(
            "ditto_rtc_bridges", "Pieces that were encoded for one viewer who lost the picture"
        )
        self.rtc_skipped_ticks = counter(
            "ditto_rtc_skipped_ticks", "Packets of sound that were left out because they were late"
        )
        self.voice_downloads = counter(
            "ditto_voice_downloads", "Voices asked for in the page, by how it ended", ["outcome"]
        )
        self.sessions = gauge("ditto_sessions", "Sessions in memory")
        self.viewers = gauge("ditto_viewers", "Open connections")
        self.speaking = gauge("ditto_speaking", "Turns that have a place")
        self.waiting = gauge("ditto_waiting", "Turns in line")
        self.backends = BackendMetrics("ditto_face", registry)
        self.avatars_refused = gauge("ditto_avatars_refused", "Avatar packs left out at the start")

    def observe_turn(self, kind: str, state: str, timings_ms: Mapping[str, float]) -> None:
        """Count a turn that ended, with its waterfall."""
        self.turns.labels(kind, state).inc()
        for stage, ms in timings_ms.items():
            if stage == "first_painted":
                continue  # told by the page, counted when it was told
            self.stage_s.labels(stage).observe(ms / 1000)

    def observe_painted(self, after_s: float) -> None:
        """Note that a browser painted a turn's first frame `after_s` after the text was sent."""
        self.stage_s.labels("first_painted").observe(after_s)

    def exposition(self) -> bytes:
        """Return the text that Prometheus reads."""
        return generate_latest(self._registry)
