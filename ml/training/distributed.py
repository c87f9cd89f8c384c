"""Several processes on one global batch: what they sum, pass round and wait for. Imports torch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from ml.errors import MlError
from ml.models.global_batch_norm import process_count


class UnevenBatch(MlError):
    """A batch that cannot be shared equally."""


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this one is, and where it computes."""

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this one writes files and shows progress."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """This process's part of rows (n,), n a multiple of the number of processes."""
        size = len(rows) // self.count
        return rows[self.rank * size : (self.rank + 1) * size]


@contextmanager
def started_processes(environ: Mapping[str, str], *, device: str = "auto") -> Iterator[Processes]:
    """The process group that torchrun or Accelerate describes in the environment; one process without them.

    device: "auto" takes CUDA where there is any. gloo connects processes on CPUs, nccl those on GPUs.
    """
    place = "cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu")
    count = int(environ.get("WORLD_SIZE", "1"))
    if place == "cuda":
        place = f"cuda:{environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(place)
    if count == 1:
        yield Processes(device=place)
        return
    distributed.init_process_group("nccl" if place.startswith("cuda") else "gloo")
    try:
        yield Processes(distributed.get_rank(), count, place)
    finally:
        distributed.destroy_process_group()


def wait_for_all() -> None:
    """Wait until every process gets here."""
    if distributed.is_initialized():
        distributed.barrier()


def of_first(value: float) -> float:
    """Broadcast the first process's value to all: their clocks differ."""
    if process_count() == 1:
        return value
    on = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    shared = torch.tensor(value, dtype=torch.float64, device=on)
    distributed.broadcast(shared, src=0)
    return shared.item()


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean (…) over processes of values (…), without a gradient."""
    if process_count() == 1:
        return values
    total = values.detach().clone()
    distributed.all_reduce(total)
    return total / process_count()


class FromNeighbour(torch.autograd.Function):
    """The tensor of the process before this one; its gradient goes back there."""

    @staticmethod
    def forward(_: torch.autograd.function.FunctionCtx, part: Tensor) -> Tensor:
        """The neighbour's tensor (…), of the same shape."""
        return passed(part, 1)

    @staticmethod
    def backward(_: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        """The gradient (…), returned to the neighbour."""
        return passed(gradients[0], -1)


def from_neighbour(part: Tensor) -> Tensor:
    """The tensor (…) of the process before this one, with a gradient."""
    received: Tensor = FromNeighbour.apply(part)
    return received


def passed(part: Tensor, steps: int) -> Tensor:
    """Send a tensor (…) to the process `steps` ranks on, in a ring. Returns the one received (…)."""
    rank, count = distributed.get_rank(), distributed.get_world_size()
    received = torch.empty_like(part, memory_format=torch.contiguous_format)
    exchange = [
        distributed.P2POp(distributed.isend, part.contiguous(), (rank + steps) % count),
        distributed.P2POp(distributed.irecv, received, (rank - steps) % count),
    ]
    for request in distributed.batch_isend_irecv(exchange):
        request.wait()
    return received
