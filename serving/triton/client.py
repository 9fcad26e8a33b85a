"""A batch in, scores out, by a Triton server: padded groups, several requests in flight, one deadline."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from contracts.errors import BadInputError, DependencyError
from contracts.releases import Pin
from serving.buckets import OUTPUTS, Buckets, group_by_shape, scores_of
from serving.preprocess.inputs import ModelInputs, Tensors
from serving.scorer import Scores
from serving.triton.repository import ensemble_name
from serving.triton.shared_frames import SharedFrames

_TENSOR_TYPES = {"uint8": "UINT8", "int32": "INT32", "float32": "FP32"}
_REFUSED = {"StatusCode.INVALID_ARGUMENT", "StatusCode.UNIMPLEMENTED", "StatusCode.OUT_OF_RANGE"}
# A pin whose models are being loaded or unloaded, or a server that was started anew, answers with one of these,
# whatever the status.
_NOT_YET = ("unknown model", "not ready", "not at ready state", "not found", "unloading", "shared memory region")


@dataclass(frozen=True, slots=True)
class TritonSettings:
    """How the client asks: the whole call's deadline, requests in flight, and the wait between tries."""

    deadline_s: float = 10.0
    in_flight: int = 4
    first_wait_s: float = 0.05
    longest_wait_s: float = 1.0
    buckets: Buckets = field(default_factory=Buckets)


class TritonScorer:
    """A `Scorer` on Triton's gRPC endpoint HOST:PORT; it connects on the first call, and again by itself.

    A pin that the server does not serve yet is waited for until the deadline, as a server that is away.
    """

    def __init__(
        self,
        address: str,
        settings: TritonSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._address = address
        self._settings = settings or TritonSettings()
        self._clock = clock
        self._rng = rng or random.Random()
        self._client: Any = None
        self._slots = asyncio.Semaphore(self._settings.in_flight)
        self._frames = SharedFrames(address, region_bytes=self._settings.buckets.most_frame_bytes)

    async def score(self, inputs: ModelInputs, pin: Pin) -> Scores:
        """Score B videos with the pinned versions, or raise as `Scorer` says."""
        until = self._clock() + self._settings.deadline_s
        groups = group_by_shape(inputs, self._settings.buckets)
        asked = [asyncio.create_task(self._ask(group.tensors, pin, until)) for group in groups]
        try:
            answers = await asyncio.gather(*asked)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return scores_of(groups, answers, len(inputs))

    async def ready(self, pin: Pin) -> bool:
        """Whether the server answers for this pin now."""
        from tritonclient.utils import InferenceServerException

        try:
            return bool(await self._connection().is_model_ready(ensemble_name(pin), client_timeout=1.0))
        except InferenceServerException:
            return False

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await self._frames.close(client)
            await client.close()

    async def _ask(self, tensors: Tensors, pin: Pin, until: float) -> Tensors:
        """Ask for one group until it is answered, refused or too late."""
        from tritonclient.utils import InferenceServerException

        wait_s = self._settings.first_wait_s
        async with self._slots:
            while True:
                left_s = until - self._clock()
                try:
                    return await self._infer(tensors, pin, max(left_s, 1e-3))
                except InferenceServerException as error:
                    status, reason = str(error.status()), str(error.message())
                    if status in _REFUSED and not any(words in reason for words in _NOT_YET):
                        raise BadInputError(f"{reason} (Triton {self._address}, {ensemble_name(pin)})") from error
                    pause_s = wait_s * self._rng.uniform(0.5, 1.0)
                    if until - self._clock() <= pause_s:
                        raise DependencyError(
                            f"Triton {self._address} did not answer for {ensemble_name(pin)} within "
                            f"{self._settings.deadline_s:g} s: {reason or status}"
                        ) from error
                    await asyncio.sleep(pause_s)
                    wait_s = min(2.0 * wait_s, self._settings.longest_wait_s)

    async def _infer(self, tensors: Tensors, pin: Pin, timeout_s: float) -> Tensors:
        import tritonclient.grpc.aio as triton

        client = self._connection()
        wanted = [triton.InferRequestedOutput(name) for name in OUTPUTS]
        async with self._frames.lent(client, tensors["frames"]) as region:
            given = []
            for name, tensor in tensors.items():
                one = triton.InferInput(name, tensor.shape, _TENSOR_TYPES[tensor.dtype.name])
                if region is not None and name == "frames":
                    given.append(one.set_shared_memory(region.name, tensor.nbytes))
                else:
                    given.append(one.set_data_from_numpy(tensor))
            answer = await client.infer(ensemble_name(pin), given, outputs=wanted, client_timeout=timeout_s)
        arrays: Tensors = {name: answer.as_numpy(name) for name in OUTPUTS}
        n = len(tensors["present"])
        for name, array in arrays.items():
            if array is None or len(array) != n:
                found = "nothing" if array is None else list(np.shape(array))
                raise DependencyError(f"{name} is {found}, must have {n} rows (Triton, {ensemble_name(pin)})")
        return arrays

    def _connection(self) -> Any:
        if self._client is None:
            import tritonclient.grpc.aio as triton

            longest_ms = int(self._settings.longest_wait_s * 1_000)
            self._client = triton.InferenceServerClient(
                self._address,
                channel_args=[
                    ("grpc.max_send_message_length", -1),
                    ("grpc.max_receive_message_length", -1),
                    ("grpc.initial_reconnect_backoff_ms", 50),
                    ("grpc.min_reconnect_backoff_ms", 50),
                    ("grpc.max_reconnect_backoff_ms", longest_ms),
                ],
            )
        return self._client
