"""Batch norm over the batch of several processes. Imports torch."""

import torch
from torch import Tensor, distributed, nn


def process_count() -> int:
    """The number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


class SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over processes. Each process's sum uses all tensors: gradients are summed too."""

    @staticmethod
    def forward(_: torch.autograd.function.FunctionCtx, part: Tensor) -> Tensor:
        """The sum over processes of a tensor (…), of the same shape."""
        total = part.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        """The sum over processes of the gradient (…)."""
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total


class GlobalBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batch of all processes.

    torch's SyncBatchNorm does not support CPUs. With one process this is nn.BatchNorm2d.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  the name that nn.BatchNorm2d gives it
        """Normalise maps (n, channels, h, w) float32."""
        if not self.training or process_count() == 1:
            return super().forward(input)
        mean = self.mean_over_processes(input)
        centred = input - mean
        variance = self.mean_over_processes(centred.square())
        self.update_statistics(mean.flatten(), variance.flatten(), input.numel() // len(mean.flatten()))
        weight, bias = (value[:, None, None] for value in (self.weight, self.bias))
        return centred * (variance + self.eps).rsqrt() * weight + bias

    def mean_over_processes(self, maps: Tensor) -> Tensor:
        """(1, channels, 1, 1) means of maps (n, channels, h, w) over pixels; n is equal in all processes."""
        total: Tensor = SumOverProcesses.apply(maps.mean(dim=(0, 2, 3), keepdim=True))
        return total / process_count()

    @torch.no_grad()
    def update_statistics(self, mean: Tensor, variance: Tensor, pixels: int) -> None:
        """Update the running mean and unbiased variance, (channels,) each, as nn.BatchNorm2d does.

        pixels: number of pixels of each channel in this process.
        """
        count = pixels * process_count()
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            return
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
