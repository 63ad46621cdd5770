"""Listen for gRPC calls, and let in only those who know the token."""

from __future__ import annotations

import asyncio
import hmac
import signal
from typing import Any

import grpc
import grpc.aio

from ditto_avatar.cluster.messages import OPTIONS
from ditto_avatar.cluster.tls import Tls


async def listen(
    handlers: grpc.GenericRpcHandler, address: str, tls: Tls | None
) -> tuple[grpc.aio.Server, int]:
    """Serve `handlers` at `address`, over `tls` where it is given; return the server and its port.
    Raises `OSError` when the address is taken. Cancelling is safe: nothing listens."""
    # Two processes on one port would share the calls by chance.
    server = grpc.aio.server(options=[*OPTIONS, ("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((handlers,))
    try:
        if tls is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, tls.for_worker())
    except RuntimeError as error:
        raise OSError(f"{address} cannot be listened on") from error
    # gRPC cannot stop a server whose start was cancelled.
    starting = asyncio.create_task(server.start())
    try:
        await asyncio.shield(starting)
    except BaseException:
        await asyncio.wait([starting])
        await stop_listening(server)
        raise
    return server, int(port)


async def stop_listening(server: grpc.aio.Server, within_s: float = 0.0) -> None:
    """Stop a server, calls that run after `within_s`. Cancelled, it waits for the end first: gRPC
    cannot stop a server that stops halfway."""
    stopping = asyncio.ensure_future(server.stop(within_s))
    try:
        await asyncio.shield(stopping)
    except asyncio.CancelledError:
        await asyncio.wait([stopping])
        raise


async def check_token(context: Any, token: str | None) -> None:
    """End a call whose token is another one; without a `token` all are let in."""
    if token is None:
        return
    given = dict(context.invocation_metadata()).get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is another one here")


async def asked_to_stop() -> None:
    """Return when the process is asked to stop, by SIGTERM or SIGINT; asked again, it ends at once.
    Cancelling is safe."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        await stop.wait()
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
