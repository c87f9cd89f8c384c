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
from ml.training.schedule import distil_weight, learning_rate

LAYER: Final = re.compile(r"(image|text)\..*?(?:layers|blocks)\.(\d+)\.")
LOWEST: Final = re.compile(r"(image|text)\.(?:.*embeddings|stem|tokens|positions)")


@dataclass(frozen=True)
class Pull:
    """The gradients of the whole batch's loss by what one part of it made."""

    images: Tensor
    texts: Tensor
    scale: Tensor
    bias: Tensor


class Objective(nn.Module):
    """Towers and losses in one module, for DistributedDataParallel must see every use of a weight."""

    def __init__(self, config: FinetuneConfig, model: TwoTowers, imitate: nn.Module | None) -> None:
        super().__init__()
        self.model = model
        self.imitate = imitate
        self.config = config

    def forward(self, batch: Batch, weight: float, pull: Pull | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The weighted loss on the batch's pairings, that on its single photos, and the former's parts (2,).

        With a pull, the first is no loss, but what has the gradients that the pull says, and has no parts.
        weight: of the loss against a teacher's features.
        """
        features, images, texts = self.vectors(batch)
        scale, bias = self.model.log_scale.exp(), self.model.bias
        alone = self.photo_loss(features, images, batch, weight)
        if pull is None:
            paired, parts = self.pairing_loss(images, texts, batch, scale, bias)
            return paired, alone, parts
        pulled = (images * pull.images).sum() + (texts * pull.texts).sum()
        return pulled + (scale * pull.scale + bias * pull.bias).sum(), alone, torch.zeros(2)

    def vectors(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """(n, feature_width) features, and (n, width) unit vectors of photos and of captions; all as exact as
        the weights."""
        reduced = self.config.precision == "bf16"
        with torch.autocast(batch.views.device.type, torch.bfloat16, enabled=reduced):
            features = self.model.image.features(batch.views)
            images, texts = self.model.image.head(features), self.model.text(batch.token_ids)
        exact = self.model.log_scale.dtype
        return features.to(exact), functional.normalize(images.to(exact), dim=-1), texts.to(exact)

    def pairing_loss(
        self, images: Tensor, texts: Tensor, batch: Batch, scale: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The weighted loss of photos with captions and, where vectors are taught, of photos with each other.

        Both parts (2,) come without gradients: the sigmoid loss, and the weighted one of relations.
        """
        sigmoid = chunked_sigmoid_loss(images, texts, batch.options, batch.numbers, scale, bias)
        relation = torch.zeros_like(sigmoid)
        if batch.taught is not None:
            relation = self.config.relation_weight * chunked_relation_loss(images, batch.taught)
        parts = torch.stack([sigmoid, relation]).detach()
        return self.config.sigmoid_weight * sigmoid + relation, parts

    def photo_loss(self, features: Tensor, images: Tensor, batch: Batch, weight: float) -> Tensor:
        """Of features (n, w) against a teacher's, and of vectors (n, width) against those that it taught."""
        loss = torch.zeros((), device=features.device)
        if batch.targets is not None and self.imitate is not None:
            likeness = functional.cosine_similarity(self.imitate(features), batch.targets)
            loss = loss + weight * (1 - likeness.mean())
        if batch.taught is not None:
            loss = loss + self.config.taught_weight * (1 - (images * batch.taught).sum(dim=1).mean())
        return loss


class Learner:
    """The model in training, its average, and the head that imitates a teacher where there is one."""

    def __init__(
        self, config: FinetuneConfig, model: TwoTowers, teacher_width: int | None, processes: Processes
    ) -> None:
        self.config = config
        self.model = model.train().to(processes.device).to(memory_format=torch.channels_last)
        for tower in config.frozen:
            # In evaluation mode, for the statistics of batch norms are to stay as well.
            getattr(self.model, tower).requires_grad_(False).eval()
        self.average = copy.deepcopy(self.model).eval()
        wide = model.image.feature_width
        imitate = None if teacher_width is None else nn.Linear(wide, teacher_width)
        self.objective = Objective(config, self.model, imitate).to(processes.device)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.objective, config.weight_decay, config.layer_decay)
        )
        # Batch norms already agree, for they measure the global batch.
        self.parallel: nn.Module = (
            DistributedDataParallel(self.objective, broadcast_buffers=False)
            if processes.count > 1
            else self.objective
        )

    def learn(self, batch: Batch, step: int, progress: float) -> tuple[float, float]:
        """The global batch's sigmoid loss and weighted losses against the teacher, before this step.

        Both NaN where a gradient is none or infinite: then the weights stay as they are.
        """
        self.optimizer.zero_grad()
        losses = self.differentiate(batch, distil_weight(self.config, progress))
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_norm)
        if not norm.isfinite():
            return math.nan, math.nan
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, progress) * group["share"]
        self.optimizer.step()
        # Early on the average follows faster, or it would carry the random start along.
        follow(self.average, self.model, min(self.config.ema, (step + 1) / (step + 11)))
        loss, distil = mean_over_processes(losses).tolist()
        return loss, distil

    def sound(self) -> bool:
        """Whether every weight and every statistic is a finite number."""
        return all(bool(value.isfinite().all()) for value in self.objective.state_dict().values())

    def differentiate(self, batch: Batch, weight: float) -> Tensor:
        """(2,) the sigmoid loss and the weighted losses against a teacher, of this process; their gradients
        are left in the weights. weight: of the loss against a teacher's features."""
        if self.config.accumulate == 1:
            paired, alone, parts = self.parallel(batch, weight)
            (paired + alone).backward()
            return with_alone(parts, alone)
        shares = batch.split(self.config.accumulate)
        parts, pulls = self.pulls(batch, shares)
        for share, pull in zip(shares, pulls, strict=True):
            # Gradients are shared out once, with the last part.
            apart = isinstance(self.parallel, DistributedDataParallel) and share is not shares[-1]
            with cast("DistributedDataParallel", self.parallel).no_sync() if apart else nullcontext():
                pulled, alone, _ = self.parallel(share, weight, pull)
                (pulled + alone / len(shares)).backward()
            parts = with_alone(parts, alone / len(shares))
        return parts

    def pulls(self, batch: Batch, shares: Sequence[Batch]) -> tuple[Tensor, list[Pull]]:
        """The parts (2,) of the whole batch's loss on pairings, and its gradients by each share's vectors."""
        with torch.no_grad():
            made = [self.objective.vectors(share)[1:] for share in shares]
        images, texts = (torch.cat(vectors).requires_grad_() for vectors in zip(*made, strict=True))
        scale = self.model.log_scale.detach().exp().requires_grad_()
        bias = self.model.bias.detach().clone().requires_grad_()
        loss, parts = self.objective.pairing_loss(images, texts, batch, scale, bias)
        of_images, of_texts, of_scale, of_bias = torch.autograd.grad(loss, (images, texts, scale, bias))
        size, count = len(shares[0].views), len(shares)
        pulls = [
            Pull(of_image, of_text, of_scale / count, of_bias / count)
            for of_image, of_text in zip(
                torch.split(of_images, size), torch.split(of_texts, size), strict=True
            )
        ]
        return parts, pulls


def with_alone(parts: Tensor, alone: Tensor) -> Tensor:
    """(2,) a sigmoid loss and losses against a teacher, to which that on single photos is added."""
    return parts + torch.stack([torch.zeros_like(alone), alone]).detach()


def parameter_groups(
    module: nn.Module, weight_decay: float, layer_decay: float = 1.0
) -> list[dict[str, object]]:
    """Matrices decay; norms, biases, scale and bias do not. Lower layers learn at a smaller share."""
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
    """Tower to its number of layers."""
    counts: dict[str, int] = {}
    for found in filter(None, map(LAYER.search, names)):
        counts[found[1]] = max(counts.get(found[1], 0), int(found[2]) + 1)
    return counts


def layers_above(name: str, counts: dict[str, int]) -> int:
    """How many layers lie between a weight and its tower's head; 0 for what belongs to no layer."""
    if found := LAYER.search(name):
        return counts[found[1]] - int(found[2])
    lowest = LOWEST.search(name)
    return counts.get(lowest[1], 0) + 1 if lowest else 0


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move an average's weights and batch statistics a step towards the model's."""
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)
