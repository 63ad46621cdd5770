"""The program of a child process: owns ONNX networks and runs what comes in on stdin.

Its argument is JSON: ``{"threads": 1, "models": {name: {"path": …, "outputs": [[value, type]]}}}``.
It ends when stdin ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import sys
import threading
import time

import numpy as np
import onnxruntime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ditto_avatar.speech.neural import graph, protocol
else:
    # Beside this file: importing it from the package would import the package and all it needs.
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    import graph
    import protocol

_PR_SET_PDEATHSIG = 1
# A voice takes some 300 MB, Supertonic about 1 GB; the address space is larger than that.
_MEMORY_BYTES = 8 << 30
_OPEN_FILES = 64


class Network:
    """One ONNX model in a session of its own."""

    def __init__(self, path: str, outputs: list[list[Any]], threads: int) -> None:
        with open(path, "rb") as file:
            model = file.read()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self._session = self._opened(model, outputs, options)
        self.inputs = [value.name for value in self._session.get_inputs()]
        self.outputs = [value.name for value in self._session.get_outputs()]

    def run(self, inputs: dict[str, Any], options: Any) -> dict[str, Any]:
        """Run the network. Raises whatever the library raises."""
        known = {name: array for name, array in inputs.items() if name in self.inputs}
        results = self._session.run(None, known, options)
        return dict(zip(self.outputs, (np.asarray(result) for result in results), strict=True))

    @staticmethod
    def _opened(model: bytes, outputs: list[list[Any]], options: Any) -> Any:
        providers = ["CPUExecutionProvider"]
        wanted = [(name, kind) for name, kind in outputs if name.encode() in model]
        if wanted:
            more = b"".join(graph.extra_output(name, kind) for name, kind in wanted)
            try:
                return onnxruntime.InferenceSession(model + more, options, providers=providers)
            except Exception as error:
                # The name is there and means something else: the voice speaks without it.
                sys.stderr.write(f"no extra outputs: {error}\n")
        return onnxruntime.InferenceSession(model, options, providers=providers)


def answer(networks: dict[str, Network], payload: bytes, options: Any) -> bytes:
    """Run what a RUN payload asks for; the frame that answers it."""
    try:
        head, inputs = protocol.unpack(payload)
        began = time.process_time()
        outputs = networks[head["model"]].run(inputs, options)
        cpu_s = time.process_time() - began
        return protocol.frame(protocol.RESULT, protocol.pack({"cpu_s": cpu_s}, outputs))
    except Exception as error:
        # The border of the process: the server decides what a failure means.
        if options.terminate:
            return protocol.frame(protocol.STOPPED)
        return protocol.frame(protocol.FAILED, str(error).encode("utf-8", "replace")[:1_000])


def listen(requests: queue.SimpleQueue[tuple[bytes, Any]]) -> None:
    """Read stdin: put what is to be run into `requests`, and stop what runs."""
    latest = onnxruntime.RunOptions()
    while True:
        kind, size = protocol.HEADER.unpack(_read(protocol.HEADER.size))
        payload = _read(size)
        if kind == protocol.STOP:
            latest.terminate = True
        elif kind == protocol.RUN:
            latest = onnxruntime.RunOptions()
            requests.put((payload, latest))


def _read(size: int) -> bytes:
    parts = []
    while size:
        part = os.read(0, size)
        if not part:
            os._exit(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _write(out: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(out, view) :]
        except OSError:
            os._exit(1)


def _limit() -> None:
    """Leave signals to the server, die with it, and bound memory, files and cores."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        import resource
    except ImportError:
        return
    limits = {
        resource.RLIMIT_AS: _MEMORY_BYTES,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
    }
    for name, limit in limits.items():
        try:
            resource.setrlimit(name, (limit, limit))
        except (ValueError, OSError):
            continue  # the system allows less already


def main() -> None:
    """Run networks until stdin ends."""
    _limit()
    # What libraries print must not come between the frames.
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    order = json.loads(sys.argv[1])
    try:
        networks = {
            name: Network(model["path"], model["outputs"], order["threads"])
            for name, model in order["models"].items()
        }
    except Exception as error:
        # The border of the process: damaged models raise anything.
        _write(out, protocol.frame(protocol.FAILED, str(error).encode("utf-8", "replace")[:1_000]))
        return
    names = {name: network.outputs for name, network in networks.items()}
    _write(out, protocol.frame(protocol.READY, protocol.pack({"outputs": names}, {})))
    requests: queue.SimpleQueue[tuple[bytes, Any]] = queue.SimpleQueue()
    threading.Thread(target=listen, args=(requests,), daemon=True).start()
    while True:
        payload, options = requests.get()
        _write(out, answer(networks, payload, options))


if __name__ == "__main__":
    main()
