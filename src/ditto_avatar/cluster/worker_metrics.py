"""Measure a worker, as Prometheus metrics in a registry of its own."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from ditto_avatar.backend_metrics import BackendMetrics
from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.face.base import Backends


class WorkerMetrics:
    """Hold the metrics of one worker."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        self._places = gauge("ditto_worker_places", "Streams that it draws at once at most")
        self._taken = gauge("ditto_worker_places_taken", "Streams that it draws now")
        self._used = gauge(
            "ditto_worker_used_percent",
            "Places that are taken, of a hundred",
        )
        self._strained = gauge(
            "ditto_worker_strained",
            "1 while it draws with less than full quality, to be in time, or with another backend "
            "than the one that stays",
        )
        self._backends = BackendMetrics("ditto_worker", registry)
        self._packs = gauge("ditto_worker_packs", "Presenters that it can draw")
        self.pictures = counter("ditto_worker_pictures", "Pictures that were drawn and encoded")
        self.streams = counter(
            "ditto_worker_streams",
            "Streams by how they ended: drawn, cancelled by the server, refused for want of a "
            "place or a pack, failed",
            ["end"],
        )
        self.brought = counter(
            "ditto_worker_packs_brought", "Packs that servers brought: taken or refused", ["end"]
        )

    def exposition(self, places: pb.Places, backends: Backends | None = None) -> bytes:
        """Return the text that Prometheus reads, with what the worker says of its `places` and its
        engine of its `backends`."""
        self._backends.show(backends)
        self._places.set(places.total)
        self._taken.set(places.taken)
        self._used.set(100 * places.taken / places.total if places.total else 100)
        self._strained.set(places.strained)
        self._packs.set(len(places.packs))
        return generate_latest(self._registry)
