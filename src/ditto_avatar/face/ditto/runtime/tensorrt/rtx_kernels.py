"""What TensorRT for RTX compiles on the card: kept between starts, and replayed as CUDA graphs.

Its engines hold no kernels. They are compiled when an engine first runs on a card.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ditto_avatar.files import write_whole

log = logging.getLogger(__name__)


class RtxKernels:
    """The runtime configuration of one engine, with the kernels that were kept beside it. With
    `recorded` its runs are CUDA graphs.

    The library takes kept kernels only on the card, the driver and the version that they were
    compiled with; for others they are compiled again, and kept instead."""

    def __init__(self, api: Any, engine: Any, path: Path, recorded: bool) -> None:
        self.config = engine.create_runtime_config()
        self.config.set_execution_context_allocation_strategy(
            api.ExecutionContextAllocationStrategy.ON_PROFILE_CHANGE
        )
        graphs = api.CudaGraphStrategy
        self.config.cuda_graph_strategy = (
            graphs.WHOLE_GRAPH_CAPTURE if recorded else graphs.DISABLED
        )
        self._path = path.with_suffix(".kernels")
        self._cache = self.config.create_runtime_cache()
        if self._path.is_file() and not self._cache.deserialize(self._path.read_bytes()):
            log.info("%s is of another card or driver; it is made anew.", self._path.name)
        self.config.set_runtime_cache(self._cache)

    def keep(self) -> None:
        """Write what was compiled so far. A folder that cannot be written costs the next start
        time, and nothing else."""
        content = bytes(self._cache.serialize())
        try:
            write_whole(self._path, lambda unfinished: unfinished.write_bytes(content))
        except OSError as error:
            log.warning("Compiled kernels are not kept in %s: %s.", self._path, error.strerror)
