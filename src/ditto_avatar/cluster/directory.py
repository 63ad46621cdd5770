"""Say where workers are, and find them: names of the network, and directories."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.listening import check_token
from ditto_avatar.cluster.messages import DIRECTORY, LIST, authorization
from ditto_avatar.cluster.tls import Tls
from ditto_avatar.errors import InvalidInput

log = logging.getLogger(__name__)

_SCHEME = "cluster://"
_LONGEST_S = 2.0


class Directory:
    """Answer with the addresses that `workers` returns."""

    def __init__(self, workers: Callable[[], Sequence[str]], token: str | None) -> None:
        self._workers = workers
        self._token = token

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server answers with."""
        listed = grpc.unary_unary_rpc_method_handler(
            self.list_workers, pb.ListRequest.FromString, pb.Addresses.SerializeToString
        )
        return grpc.method_handlers_generic_handler(DIRECTORY, {"List": listed})

    async def list_workers(self, request: pb.ListRequest, context: Any) -> pb.Addresses:
        """Say where the workers are now."""
        await check_token(context, self._token)
        return pb.Addresses(addresses=self._workers())


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look: a host and a port of workers, or of a directory of them."""

    host: str
    port: int
    is_directory: bool = False

    def __str__(self) -> str:
        return f"{_SCHEME if self.is_directory else ''}{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read ``host:port`` or ``cluster://host:port``. Raises `InvalidInput`."""
        address = text.strip()
        host, _, port = address.removeprefix(_SCHEME).rpartition(":")
        if not host or not port.isdigit():
            raise InvalidInput(
                f"DITTO_WORKERS: expected host:port or {_SCHEME}host:port, came {address!r}."
            )
        return cls(host.strip("[]"), int(port), address.startswith(_SCHEME))


class Finder:
    """Look for workers at all `places`."""

    def __init__(self, places: Sequence[Place], token: str | None, tls: Tls | None) -> None:
        self.places = places
        self._token = token
        self._tls = tls
        # A directory that is away for a while does not take its workers with it.
        self._listed: dict[Place, Sequence[str]] = {}

    async def find(self) -> dict[str, str]:
        """Return the address of each worker, with the name that its certificate is for. Cancelling
        is safe."""
        found: dict[str, str] = {}
        for place in self.places:
            if place.is_directory:
                await self._ask(place)
                for address in self._listed.get(place, ()):
                    found[address] = address.rpartition(":")[0].strip("[]")
            else:
                for address in await _resolved(place):
                    found[address] = place.host
        return found

    async def _ask(self, place: Place) -> None:
        async with channel_to(f"{place.host}:{place.port}", self._tls, place.host) as channel:
            ask = channel.unary_unary(
                LIST, pb.ListRequest.SerializeToString, pb.Addresses.FromString
            )
            try:
                answer = await ask(
                    pb.ListRequest(), metadata=authorization(self._token), timeout=_LONGEST_S
                )
            except grpc.aio.AioRpcError as error:
                log.warning("%s does not say where workers are: %s", place, error.code().name)
            else:
                self._listed[place] = tuple(answer.addresses)


def channel_to(
    address: str, tls: Tls | None, host: str, options: Sequence[tuple[str, Any]] = ()
) -> grpc.aio.Channel:
    """Return a channel to `address`, whose certificate has to be for `host`."""
    if tls is None:
        return grpc.aio.insecure_channel(address, options=list(options))
    named = [*options, ("grpc.ssl_target_name_override", host)]
    return grpc.aio.secure_channel(address, tls.for_server(), options=named)


async def _resolved(place: Place) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        known = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except OSError as error:
        log.warning("worker %s is not known to the network: %s", place.host, error.strerror)
        return []
    ips = [str(each[0]) for *_, each in known]
    return [f"[{ip}]:{place.port}" if ":" in ip else f"{ip}:{place.port}" for ip in ips]
