"""A UDP relay in front of a server: goes silent, loses packets, moves; all in user space."""

from __future__ import annotations

import random
import select
import socket
import threading

_MOVE = b"m"


class UdpRelay:
    """Forwards between whoever sends to `port` and 127.0.0.1:`server_port`, in a thread."""

    def __init__(self, server_port: int) -> None:
        self.silent = False
        self.loss = 0.0
        self.forwarded = 0
        self._server = ("127.0.0.1", server_port)
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self._backs: dict[tuple[str, int], socket.socket] = {}
        self._random = random.Random(7)
        self._stopped, self._stop = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        port: int = self._front.getsockname()[1]
        return port

    def move(self) -> None:
        """Let everything come from new ports from now on, as behind a router that forgot."""
        self._stop.send(_MOVE)

    def close(self) -> None:
        self._stop.send(b"x")
        self._thread.join()
        for one in (self._front, self._stop, self._stopped, *self._backs.values()):
            one.close()

    def _run(self) -> None:
        while True:
            sockets = [self._stopped, self._front, *self._backs.values()]
            for ready in select.select(sockets, [], [])[0]:
                if ready is self._stopped:
                    if self._stopped.recv(1) != _MOVE:
                        return
                    for back in self._backs.values():
                        back.close()
                    self._backs.clear()
                    break
                self._forward(ready)

    def _forward(self, ready: socket.socket) -> None:
        data, sender = ready.recvfrom(4096)
        if ready is self._front and sender not in self._backs:
            back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            back.bind(("127.0.0.1", 0))
            self._backs[sender] = back
        if self.silent or (self.loss and self._is_media(data) and self._lost()):
            return
        self.forwarded += 1
        if ready is self._front:
            self._backs[sender].sendto(data, self._server)
            return
        client = next(peer for peer, back in self._backs.items() if back is ready)
        self._front.sendto(data, client)

    def _lost(self) -> bool:
        return self._random.random() < self.loss

    @staticmethod
    def _is_media(data: bytes) -> bool:
        """RTP and RTCP, not STUN and not DTLS."""
        return bool(data) and 128 <= data[0] < 192


def free_port() -> int:
    """A UDP port that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
