"""Frames in, a region of shared memory out that a Triton on this host reads instead of the socket.

A video's frames are some 100 kB, which gRPC copies six times. A region's name leaves the file system as soon
as Triton has opened it, so that a killed worker leaves nothing behind; a restarted Triton gets a new one.
"""

import asyncio
import logging
import mmap
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

log = logging.getLogger(__name__)

SHARED_MEMORY = Path("/dev/shm")
WORTH_SHARING = 256 << 10
_LOCAL = {"127.0.0.1", "localhost", "::1", "[::1]"}


@dataclass(slots=True)
class Region:
    """A registered region; `name` is what Triton knows it by."""

    name: str
    memory: mmap.mmap

    def write(self, frames: npt.NDArray[np.uint8]) -> None:
        view = np.frombuffer(self.memory, np.uint8, frames.size)
        view[:] = frames.reshape(-1)


class SharedFrames:
    """Regions lent one request at a time; none where Triton is elsewhere or cannot open them."""

    def __init__(self, address: str, *, region_bytes: int) -> None:
        host = address.rpartition(":")[0]
        self._possible = host in _LOCAL and os.access(SHARED_MEMORY, os.W_OK)
        self._region_bytes = region_bytes
        self._free: list[Region] = []
        self._forgetting: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lent(self, client: Any, frames: npt.NDArray[np.uint8]) -> AsyncIterator[Region | None]:
        """Lend a region that holds `frames`, or None where they had better travel with the request.

        A region is lent again only after an answer: any error may mean that Triton has lost it, or still reads it.
        """
        if not self._possible or not WORTH_SHARING <= frames.nbytes <= self._region_bytes:
            yield None
            return
        region = self._free.pop() if self._free else await self._new(client)
        if region is None:
            yield None
            return
        region.write(frames)
        try:
            yield region
        except BaseException:
            forgetting = asyncio.create_task(self._forget(client, region))
            self._forgetting.add(forgetting)
            forgetting.add_done_callback(self._forgetting.discard)
            raise
        self._free.append(region)

    async def close(self, client: Any) -> None:
        """Let Triton forget the regions."""
        while self._free:
            await self._forget(client, self._free.pop())
        await asyncio.gather(*self._forgetting)

    async def _forget(self, client: Any, region: Region) -> None:
        from tritonclient.utils import InferenceServerException

        try:
            await client.unregister_system_shared_memory(region.name, client_timeout=1.0)
        except InferenceServerException as error:
            log.debug("%s stays registered: %s", region.name, error)

    async def _new(self, client: Any) -> Region | None:
        from tritonclient.utils import InferenceServerException

        name = f"precedent-frames-{uuid.uuid4().hex}"
        path = SHARED_MEMORY / name
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            os.ftruncate(descriptor, self._region_bytes)
            memory = mmap.mmap(descriptor, self._region_bytes)
            await client.register_system_shared_memory(name, f"/{name}", self._region_bytes, client_timeout=5.0)
        except InferenceServerException as error:
            if "UNAVAILABLE" in str(error.status()) or "DEADLINE" in str(error.status()):
                raise
            log.warning("frames go over the socket, Triton cannot share memory with us: %s", error.message())
            self._possible = False
            return None
        finally:
            os.close(descriptor)
            path.unlink()
        return Region(name, memory)
