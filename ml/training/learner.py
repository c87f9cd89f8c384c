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
from ml.training.batches import Batch
from ml.training.config import FinetuneConfig
from ml.training.distributed import Processes, mean_over_processes
from ml.training.loss import chunked_relation_loss, chunked_sigmoid_loss
from ml.training.schedule import feature_weight, learning_rate

LAYER: Final = re.compile(r"(image|text)\..*?(?:layers|blocks)\.(\d+)\.")
LOWEST: Final = re.compile(r"(image|text)\.(?:.*embeddings|stem|tokens|positions)")


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


class Objective(nn.Module):
    """Towers and losses in one module, since DistributedDataParallel requires every use of a weight in it."""

    def __init__(self, config: FinetuneConfig, model: TwoTowers, feature_head: nn.Module | None) -> None:
        super().__init__()
        self.model = model
        self.feature_head = feature_head
        self.config = config

    def forward(
        self, batch: Batch, weight: float, gradients: VectorGradients | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The weighted pairing loss, the loss on single photos (scalars), and the parts of the former (2,).

        weight: of the loss against a teacher's features. gradients: replace the pairing loss by a surrogate,
        a scalar whose gradients are these (GradCache, arXiv 2101.06983); its parts are zeros.
        """
        features, images, texts = self.vectors(batch)
        scale, bias = self.model.log_scale.exp(), self.model.bias
        photo_loss = self.photo_loss(features, images, batch, weight)
        if gradients is None:
            pairing_loss, parts = self.pairing_loss(images, texts, batch, scale, bias)
            return pairing_loss, photo_loss, parts
        surrogate = (images * gradients.images).sum() + (texts * gradients.texts).sum()
        surrogate = surrogate + (scale * gradients.scale + bias * gradients.bias).sum()
        return surrogate, photo_loss, torch.zeros(2)

    def vectors(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Features (n, feature_width), and photo and caption vectors (n, width), unit norm.

        All have the dtype of the weights, also if the networks compute in bf16.
        """
        reduced = self.config.precision == "bf16"
        with torch.autocast(batch.views.device.type, torch.bfloat16, enabled=reduced):
            features = self.model.image.features(batch.views)
            images, texts = self.model.image.head(features), self.model.text(batch.token_ids)
        dtype = self.model.log_scale.dtype
        return features.to(dtype), functional.normalize(images.to(dtype), dim=-1), texts.to(dtype)

    def pairing_loss(
        self, images: Tensor, texts: Tensor, batch: Batch, scale: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The weighted sigmoid loss of photos (n, width) with captions (n, width), both float32, unit norm.

        The relation loss is added if there are target vectors. Also returns both parts (2,), detached: the
        sigmoid loss without its weight, the relation loss with it.
        """
        sigmoid = chunked_sigmoid_loss(images, texts, batch.options, batch.numbers, scale, bias)
        relation = torch.zeros_like(sigmoid)
        if batch.target_vectors is not None:
            relation = self.config.relation_weight * chunked_relation_loss(images, batch.target_vectors)
        parts = torch.stack([sigmoid, relation]).detach()
        return self.config.sigmoid_weight * sigmoid + relation, parts

    def photo_loss(self, features: Tensor, images: Tensor, batch: Batch, weight: float) -> Tensor:
        """Loss of features (n, w) against a teacher's plus that of vectors (n, width) against targets."""
        loss = torch.zeros((), device=features.device)
        if batch.target_features is not None and self.feature_head is not None:
            cosine = functional.cosine_similarity(self.feature_head(features), batch.target_features)
            loss = loss + weight * (1 - cosine.mean())
        if batch.target_vectors is not None:
            loss = loss + self.config.vector_weight * (1 - (images * batch.target_vectors).sum(dim=1).mean())
        return loss


class Learner:
    """The model in training, its averaged weights, the head for a teacher's features, and the optimizer."""

    def __init__(
        self, config: FinetuneConfig, model: TwoTowers, teacher_width: int | None, processes: Processes
    ) -> None:
        self.config = config
        self.model = model.train().to(processes.device).to(memory_format=torch.channels_last)
        for tower in config.frozen:
            # Evaluation mode also freezes the statistics of batch norms.
            getattr(self.model, tower).requires_grad_(False).eval()
        self.average = copy.deepcopy(self.model).eval()
        wide = model.image.feature_width
        feature_head = None if teacher_width is None else nn.Linear(wide, teacher_width)
        self.objective = Objective(config, self.model, feature_head).to(processes.device)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.objective, config.weight_decay, config.layer_decay)
        )
        # No buffers to broadcast: batch norms already measure the global batch.
        self.parallel: nn.Module = (
            DistributedDataParallel(self.objective, broadcast_buffers=False)
            if processes.count > 1
            else self.objective
        )

    def learn(self, batch: Batch, step: int, progress: float) -> tuple[float, float]:
        """Take one step, and return the global batch's sigmoid loss and weighted distillation loss before it.

        Both are NaN if a gradient is NaN or infinite; the weights then stay unchanged.
        """
        self.optimizer.zero_grad()
        losses = self.differentiate(batch, feature_weight(self.config, progress))
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_norm)
        if not norm.isfinite():
            return math.nan, math.nan
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, progress) * group["share"]
        self.optimizer.step()
        # A shorter average at first, so that the random start soon has little weight.
        update_average(self.average, self.model, min(self.config.ema, (step + 1) / (step + 11)))
        loss, distillation_loss = mean_over_processes(losses).tolist()
        return loss, distillation_loss

    def is_finite(self) -> bool:
        """Whether every weight and every batch statistic is a finite number."""
        return all(bool(value.isfinite().all()) for value in self.objective.state_dict().values())

    def differentiate(self, batch: Batch, weight: float) -> Tensor:
        """Add the loss's gradients to the weights; return this process's losses (2,): sigmoid, distillation.

        weight: of the loss against a teacher's features.
        """
        if self.config.accumulate == 1:
            pairing_loss, photo_loss, parts = self.parallel(batch, weight)
            (pairing_loss + photo_loss).backward()
            return add_photo_loss(parts, photo_loss)
        shares = batch.split(self.config.accumulate)
        parts, share_gradients = self.vector_gradients(batch, shares)
        for share, gradients in zip(shares, share_gradients, strict=True):
            # Processes exchange their gradients once, with the last part.
            local = isinstance(self.parallel, DistributedDataParallel) and share is not shares[-1]
            with cast("DistributedDataParallel", self.parallel).no_sync() if local else nullcontext():
                surrogate, photo_loss, _ = self.parallel(share, weight, gradients)
                (surrogate + photo_loss / len(shares)).backward()
            parts = add_photo_loss(parts, photo_loss / len(shares))
        return parts

    def vector_gradients(self, batch: Batch, shares: Sequence[Batch]) -> tuple[Tensor, list[VectorGradients]]:
        """The parts (2,) float32 of the whole batch's pairing loss, and its gradients for each share."""
        with torch.no_grad():
            computed = [self.objective.vectors(share)[1:] for share in shares]
        images, texts = (torch.cat(vectors).requires_grad_() for vectors in zip(*computed, strict=True))
        scale = self.model.log_scale.detach().exp().requires_grad_()
        bias = self.model.bias.detach().clone().requires_grad_()
        loss, parts = self.objective.pairing_loss(images, texts, batch, scale, bias)
        d_images, d_texts, d_scale, d_bias = torch.autograd.grad(loss, (images, texts, scale, bias))
        size, count = len(shares[0].views), len(shares)
        return parts, [
            VectorGradients(d_image, d_text, d_scale / count, d_bias / count)
            for d_image, d_text in zip(torch.split(d_images, size), torch.split(d_texts, size), strict=True)
        ]


def add_photo_loss(parts: Tensor, photo_loss: Tensor) -> Tensor:
    """Add the loss on single photos to the second of parts (2,) float32, the distillation loss."""
    return parts + torch.stack([torch.zeros_like(photo_loss), photo_loss]).detach()


def parameter_groups(
    module: nn.Module, weight_decay: float, layer_decay: float = 1.0
) -> list[dict[str, object]]:
    """Optimizer groups: weight decay for matrices only; lower learning rates for lower layers."""
    named = [(name, value) for name, value in module.named_parameters() if value.requires_grad]
    layers = layer_counts([name for name, _ in module.named_parameters()])
    groups: dict[tuple[float, float], list[Tensor]] = defaultdict(list)
    for name, value in named:
        decay = weight_decay if value.ndim > 1 else 0.0
        groups[layer_decay ** layers_above(name, layers), decay].append(value)
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
