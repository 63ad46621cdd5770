"""Show which backends a face engine has, as Prometheus metrics."""

from __future__ import annotations

from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge


class KnownBackends(Protocol):
    """What `face.base.Backends` says."""

    @property
    def draws(self) -> str: ...

    @property
    def prepares(self) -> str | None: ...

    @property
    def failed(self) -> int: ...


class BackendMetrics:
    """The gauges `<prefix>_backend` and `<prefix>_backends_failed`."""

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self._backend = Gauge(
            f"{prefix}_backend",
            "1 for the backend that draws, and for the one that is prepared to take over",
            ["backend", "does"],
            registry=registry,
        )
        self._failed = Gauge(
            f"{prefix}_backends_failed",
            "Backends that could not be prepared, so that another one goes on drawing",
            registry=registry,
        )

    def show(self, backends: KnownBackends | None) -> None:
        """Take what the engine says now; None for an engine that knows one way to draw."""
        self._backend.clear()
        if backends is None:
            return
        self._backend.labels(backends.draws, "draws").set(1)
        if backends.prepares is not None:
            self._backend.labels(backends.prepares, "is prepared").set(1)
        self._failed.set(backends.failed)
