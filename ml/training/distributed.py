"""Communication of several processes that share a global batch. Imports torch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from ml.errors import MlError


class UnevenBatch(MlError):
    """A batch that cannot be shared equally."""


@dataclass(frozen=True)
class Processes:
    """The rank of this process, the number of processes, and the device."""

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """This process's part of rows (n, …); n is a multiple of the number of processes."""
        size = len(rows) // self.count
        return rows[self.rank * size : (self.rank + 1) * size]


@contextmanager
def started_processes(environ: Mapping[str, str], *, device: str = "auto") -> Iterator[Processes]:
    """Join the process group that torchrun or Accelerate describes in the environment, if any.

    device: "auto" is CUDA if available. Processes communicate by gloo on CPUs and by nccl on GPUs.
    """
    chosen = "cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu")
    count = int(environ.get("WORLD_SIZE", "1"))
    if chosen == "cuda":
        chosen = f"cuda:{environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(chosen)
    if count == 1:
        yield Processes(device=chosen)
        return
    distributed.init_process_group("nccl" if chosen.startswith("cuda") else "gloo")
    try:
        yield Processes(distributed.get_rank(), count, chosen)
    finally:
        distributed.destroy_process_group()


def wait_for_all() -> None:
    """Wait until all processes have called this."""
    if distributed.is_initialized():
        distributed.barrier()


def process_count() -> int:
    """The number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def broadcast_first(value: float) -> float:
    """Return the first process's value in all processes, whose clocks differ."""
    if process_count() == 1:
        return value
    on = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    shared = torch.tensor(value, dtype=torch.float64, device=on)
    distributed.broadcast(shared, src=0)
    return shared.item()


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean over processes of a tensor (…), of the same shape, without a gradient."""
    if process_count() == 1:
        return values
    total = values.detach().clone()
    distributed.all_reduce(total)
    return total / process_count()


class FromNeighbour(torch.autograd.Function):
    """The tensor of the previous process in the ring; its gradient is sent back."""

    @staticmethod
    def forward(_: torch.autograd.function.FunctionCtx, part: Tensor) -> Tensor:
        """The neighbour's tensor (…), of the same shape."""
        return shift_ring(part, 1)

    @staticmethod
    def backward(_: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        """The gradient (…), sent back to the neighbour."""
        return shift_ring(gradients[0], -1)


def from_neighbour(part: Tensor) -> Tensor:
    """Receive the tensor (…) of the previous process in the ring, with a gradient."""
    received: Tensor = FromNeighbour.apply(part)
    return received


def shift_ring(part: Tensor, steps: int) -> Tensor:
    """Send a tensor (…) to the process `steps` ranks further in the ring; return the one received (…)."""
    rank, count = distributed.get_rank(), distributed.get_world_size()
    received = torch.empty_like(part, memory_format=torch.contiguous_format)
    exchange = [
        distributed.P2POp(distributed.isend, part.contiguous(), (rank + steps) % count),
        distributed.P2POp(distributed.irecv, received, (rank - steps) % count),
    ]
    for request in distributed.batch_isend_irecv(exchange):
        request.wait()
    return received
