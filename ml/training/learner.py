"""One step of training: losses, gradients, optimizer and averaged weights. Imports torch."""

import copy
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from ml.models.two_towers import TwoTowers
from ml.training.batches import DROPOUT, Batch, seed_of
from ml.training.config import FinetuneConfig
from ml.training.distributed import Processes, mean_over_processes
from ml.training.loss import chunked_sigmoid_loss
from ml.training.prototypes import LabelClasses, Prototypes
from ml.training.schedule import learning_rate

LAYER: Final = re.compile(r"(image|text)\..*?(?:layers|blocks)\.(\d+)\.")
NETWORK: Final = re.compile(r"image\.network\.")
LOWEST: Final = re.compile(r"(image|text)\.(?:.*embeddings|tokens|positions)")


@dataclass(frozen=True)
class VectorGradients:
    """Gradients of the whole batch's pairing loss with respect to the outputs of one part of the batch."""

    images: Tensor
    """(n, width) float32."""
    texts: Tensor
    """(n, width) float32."""
    scale: Tensor
    """A scalar."""
    bias: Tensor
    """A scalar."""


def fast_bf16(device: str) -> bool:
    """Whether layers without gradients compute several times as fast in bf16: on a CPU that has it."""
    known = (
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return device == "cpu" and any(supported() for supported in known if supported is not None)


class Objective(nn.Module):
    """Towers and losses in one module, since DistributedDataParallel requires every use of a weight in it."""

    def __init__(self, config: FinetuneConfig, model: TwoTowers, prototypes: Prototypes | None) -> None:
        super().__init__()
        self.model = model
        self.prototypes = prototypes
        self.start = copy.deepcopy(model.image).requires_grad_(False) if config.feature_weight else None
        """The image tower at the start of the run."""
        self.config = config

    def forward(
        self, batch: Batch, gradients: VectorGradients | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The weighted sigmoid loss, the loss on single photos, and the former without its weight; scalars.

        gradients: replace the sigmoid loss by a surrogate, a scalar whose gradients are these (GradCache,
        arXiv 2101.06983); its value is then zero.
        """
        fixed, directions, images, texts = self.vectors(batch)
        scale, bias = self.model.log_scale.exp(), self.model.bias
        photo_loss = self.photo_loss(fixed, directions, images, batch)
        if gradients is None:
            sigmoid = self.sigmoid_loss(images, texts, batch, scale, bias)
            return self.config.sigmoid_weight * sigmoid, photo_loss, sigmoid.detach()
        surrogate = (images * gradients.images).sum() + (texts * gradients.texts).sum()
        surrogate = surrogate + (scale * gradients.scale + bias * gradients.bias).sum()
        return surrogate, photo_loss, torch.zeros((), device=images.device)

    def vectors(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the fixed layers make of the photos, their directions, and vectors of photos and captions.

        Directions (n, f) and vectors (n, width) have unit norm and the dtype of the weights, also if the
        networks compute in bf16.
        """
        image, reduced = self.model.image, self.config.precision == "bf16"
        device = batch.views.device.type
        with self.fixed_precision(device):
            fixed = image.fixed(batch.views)
        fixed = fixed.to(batch.views.dtype)
        with torch.autocast(device, torch.bfloat16, enabled=reduced):
            directions = image.directions(image.features(fixed))
            images, texts = image.head(directions), self.model.text(batch.token_ids)
        dtype = self.model.log_scale.dtype
        return fixed, directions.to(dtype), functional.normalize(images.to(dtype), dim=-1), texts.to(dtype)

    def fixed_precision(self, device: str) -> torch.autocast:
        """The precision of layers that are not trained."""
        reduced = self.config.precision == "bf16" or fast_bf16(device)
        return torch.autocast(device, torch.bfloat16, enabled=reduced)

    def sigmoid_loss(
        self, images: Tensor, texts: Tensor, batch: Batch, scale: Tensor, bias: Tensor
    ) -> Tensor:
        """The sigmoid loss, a scalar, of photos (n, width) with captions (n, width), float32, unit norm."""
        return chunked_sigmoid_loss(images, texts, batch.options, batch.numbers, scale, bias)

    def photo_loss(self, fixed: Tensor, directions: Tensor, images: Tensor, batch: Batch) -> Tensor:
        """The weighted losses on single photos, a scalar: of vectors against labels, of directions against
        those at the start. See `vectors` for the arguments.
        """
        loss = torch.zeros((), device=images.device)
        if self.prototypes is not None:
            labels = self.prototypes(images, batch.classes, batch.sources)
            loss = loss + self.config.prototype_weight * labels
        if self.start is not None:
            with torch.no_grad(), self.fixed_precision(fixed.device.type):
                before = self.start.directions(self.start.features(fixed))
            moved = 1 - (directions * before.to(directions.dtype)).sum(dim=1).mean()
            loss = loss + self.config.feature_weight * moved
        return loss


class Learner:
    """The model in training, its averaged weights, the prototypes of labels, and the optimizer."""

    def __init__(
        self, config: FinetuneConfig, model: TwoTowers, classes: LabelClasses, processes: Processes
    ) -> None:
        self.config = config
        self.rank = processes.rank
        self.model = model.train().to(processes.device).to(memory_format=torch.channels_last)
        # Without a loss on captions, the text tower would only be made smaller by the weight decay.
        for tower in (*config.frozen, *(() if config.sigmoid_weight else ("text",))):
            getattr(self.model, tower).requires_grad_(False).eval()
        self.average = copy.deepcopy(self.model).eval()
        prototypes = Prototypes(classes, config.tower.head_width) if config.prototype_weight else None
        self.objective = Objective(config, self.model, prototypes).to(processes.device)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.objective, config))
        self.parallel: nn.Module = (
            DistributedDataParallel(self.objective, broadcast_buffers=False)
            if processes.count > 1
            else self.objective
        )

    def learn(self, batch: Batch, step: int, progress: float) -> tuple[float, float]:
        """Take one step, and return the global batch's sigmoid loss and loss on single photos before it.

        Both are NaN if a gradient is NaN or infinite; the weights then stay unchanged.
        """
        self.optimizer.zero_grad()
        torch.manual_seed(seed_of(self.config.seed, DROPOUT, step, self.rank))
        losses = self.differentiate(batch)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_norm)
        if not norm.isfinite():
            return math.nan, math.nan
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, progress) * group["share"]
        self.optimizer.step()
        # A shorter average at first, so that the random start soon has little weight.
        update_average(self.average, self.model, min(self.config.ema, (step + 1) / (step + 11)))
        sigmoid, photo_loss = mean_over_processes(losses).tolist()
        return sigmoid, photo_loss

    def is_finite(self) -> bool:
        """Whether every weight and every batch statistic is a finite number."""
        return all(bool(value.isfinite().all()) for value in self.objective.state_dict().values())

    def differentiate(self, batch: Batch) -> Tensor:
        """Add the losses' gradients to the weights; return this process's losses (2,): sigmoid, photos."""
        if self.config.accumulate == 1:
            weighted, photo_loss, sigmoid = self.parallel(batch)
            (weighted + photo_loss).backward()
            return torch.stack([sigmoid, photo_loss.detach()])
        shares = batch.split(self.config.accumulate)
        sigmoid, share_gradients = self.vector_gradients(batch, shares)
        photo_losses = []
        for share, gradients in zip(shares, share_gradients, strict=True):
            # Processes exchange their gradients once, with the last part.
            local = isinstance(self.parallel, DistributedDataParallel) and share is not shares[-1]
            with cast("DistributedDataParallel", self.parallel).no_sync() if local else nullcontext():
                surrogate, photo_loss, _ = self.parallel(share, gradients)
                (surrogate + photo_loss / len(shares)).backward()
            photo_losses.append(photo_loss.detach())
        return torch.stack([sigmoid, torch.stack(photo_losses).mean()])

    def vector_gradients(self, batch: Batch, shares: Sequence[Batch]) -> tuple[Tensor, list[VectorGradients]]:
        """The whole batch's sigmoid loss, a scalar, and the weighted loss's gradients for each share."""
        with torch.no_grad():
            computed = [self.objective.vectors(share)[2:] for share in shares]
        images, texts = (torch.cat(vectors).requires_grad_() for vectors in zip(*computed, strict=True))
        scale = self.model.log_scale.detach().exp().requires_grad_()
        bias = self.model.bias.detach().clone().requires_grad_()
        sigmoid = self.objective.sigmoid_loss(images, texts, batch, scale, bias)
        loss = self.config.sigmoid_weight * sigmoid
        d_images, d_texts, d_scale, d_bias = torch.autograd.grad(loss, (images, texts, scale, bias))
        size, count = len(shares[0].views), len(shares)
        return sigmoid.detach(), [
            VectorGradients(d_image, d_text, d_scale / count, d_bias / count)
            for d_image, d_text in zip(torch.split(d_images, size), torch.split(d_texts, size), strict=True)
        ]


def parameter_groups(module: nn.Module, config: FinetuneConfig) -> list[dict[str, object]]:
    """Optimizer groups: weight decay for matrices only; lower learning rates for lower layers and for the
    image network.
    """
    named = [(name, value) for name, value in module.named_parameters() if value.requires_grad]
    layers = layer_counts([name for name, _ in module.named_parameters()])
    groups: dict[tuple[float, float], list[Tensor]] = defaultdict(list)
    for name, value in named:
        decay = config.weight_decay if value.ndim > 1 else 0.0
        share = config.layer_decay ** layers_above(name, layers)
        if NETWORK.search(name):
            share *= config.network_rate
        groups[share, decay].append(value)
    return [
        {"params": values, "weight_decay": decay, "share": share}
        for (share, decay), values in sorted(groups.items(), reverse=True)
    ]


def layer_counts(names: Sequence[str]) -> dict[str, int]:
    """The number of layers of each tower."""
    counts: dict[str, int] = {}
    for found in filter(None, map(LAYER.search, names)):
        counts[found[1]] = max(counts.get(found[1], 0), int(found[2]) + 1)
    return counts


def layers_above(name: str, counts: dict[str, int]) -> int:
    """The number of layers between a weight and its tower's head; 0 for weights outside the layers."""
    if found := LAYER.search(name):
        return counts[found[1]] - int(found[2])
    lowest = LOWEST.search(name)
    return counts.get(lowest[1], 0) + 1 if lowest else 0


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Update an exponential moving average of the model's weights and batch statistics in place."""
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)
