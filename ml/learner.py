"""One step of training: losses, gradients, optimizer and averaged weights. Imports torch."""

import copy
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

from ml.batches import Batch
from ml.config import FinetuneConfig
from ml.distributed import Processes, mean_over_processes
from ml.loss import chunked_sigmoid_loss
from ml.model import TwoTowers
from ml.schedule import distil_weight, learning_rate

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
        self.reduced = config.precision == "bf16"
        self.taught_weight, self.relation_weight = config.taught_weight, config.relation_weight

    def forward(self, batch: Batch, distil_weight: float, pull: Pull | None = None) -> tuple[Tensor, Tensor]:
        """The sigmoid loss of the batch, and the weighted losses against the teacher.

        With a pull, the first is no loss, but what has the gradients that the pull says.
        """
        features, images, texts = self.vectors(batch)
        scale, bias = self.model.log_scale.exp(), self.model.bias
        distil = self.distil_loss(features, images, batch, distil_weight)
        if pull is None:
            return (
                chunked_sigmoid_loss(images, texts, batch.options, batch.numbers, scale, bias),
                distil,
            )
        pulled = (images * pull.images).sum() + (texts * pull.texts).sum()
        return pulled + (scale * pull.scale + bias * pull.bias).sum(), distil

    def vectors(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """(n, feature_width) features, and (n, width) unit vectors of photos and of captions, float32."""
        with torch.autocast(batch.views.device.type, torch.bfloat16, enabled=self.reduced):
            features = self.model.image.features(batch.views)
            images, texts = self.model.image.head(features), self.model.text(batch.token_ids)
        return features.float(), functional.normalize(images.float(), dim=-1), texts.float()

    def distil_loss(self, features: Tensor, images: Tensor, batch: Batch, weight: float) -> Tensor:
        """Of features (n, w) against a teacher's, and of vectors (n, width) against those that it taught.

        Cosines between photos are compared within the part of the batch that is at hand.
        """
        loss = torch.zeros((), device=features.device)
        if batch.targets is not None and self.imitate is not None:
            likeness = functional.cosine_similarity(self.imitate(features), batch.targets)
            loss = loss + weight * (1 - likeness.mean())
        if batch.taught is not None:
            loss = loss + self.taught_weight * (1 - (images * batch.taught).sum(dim=1).mean())
            apart = images @ images.T - batch.taught @ batch.taught.T
            loss = loss + self.relation_weight * apart.square().mean()
        return loss


class Learner:
    """The model in training, its average, and the head that imitates a teacher where there is one."""

    def __init__(
        self, config: FinetuneConfig, model: TwoTowers, teacher_width: int | None, processes: Processes
    ) -> None:
        self.config = config
        for tower in config.frozen:
            getattr(model, tower).requires_grad_(False)
        self.model = model.train().to(processes.device).to(memory_format=torch.channels_last)
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
        """The global batch's sigmoid loss and weighted losses against the teacher, before this step."""
        self.optimizer.zero_grad()
        losses = self.differentiate(batch, distil_weight(self.config, progress))
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, progress) * group["share"]
        self.optimizer.step()
        # Early on the average follows faster, or it would carry the random start along.
        follow(self.average, self.model, min(self.config.ema, (step + 1) / (step + 11)))
        loss, distil = mean_over_processes(losses).tolist()
        return loss, distil

    def differentiate(self, batch: Batch, weight: float) -> Tensor:
        """(2,) both losses of this process, their gradients left in the weights."""
        if self.config.accumulate == 1:
            loss, distil = self.parallel(batch, weight)
            (self.config.sigmoid_weight * loss + distil).backward()
            return torch.stack([loss.detach(), distil.detach()])
        parts = batch.split(self.config.accumulate)
        loss, pulls = self.pulls(batch, parts)
        distilled = torch.zeros((), device=loss.device)
        for part, pull in zip(parts, pulls, strict=True):
            # Gradients are shared out once, with the last part.
            alone = isinstance(self.parallel, DistributedDataParallel) and part is not parts[-1]
            with cast("DistributedDataParallel", self.parallel).no_sync() if alone else nullcontext():
                pulled, distil = self.parallel(part, weight, pull)
                (self.config.sigmoid_weight * pulled + distil / len(parts)).backward()
            distilled = distilled + distil.detach() / len(parts)
        return torch.stack([loss, distilled])

    def pulls(self, batch: Batch, parts: Sequence[Batch]) -> tuple[Tensor, list[Pull]]:
        """The whole batch's loss, and its gradients by the vectors of each part."""
        with torch.no_grad():
            made = [self.objective.vectors(part)[1:] for part in parts]
        images, texts = (torch.cat(vectors).requires_grad_() for vectors in zip(*made, strict=True))
        scale = self.model.log_scale.detach().exp().requires_grad_()
        bias = self.model.bias.detach().clone().requires_grad_()
        loss = chunked_sigmoid_loss(images, texts, batch.options, batch.numbers, scale, bias)
        of_images, of_texts, of_scale, of_bias = torch.autograd.grad(loss, (images, texts, scale, bias))
        size, count = len(parts[0].views), len(parts)
        pulls = [
            Pull(of_image, of_text, of_scale / count, of_bias / count)
            for of_image, of_text in zip(
                torch.split(of_images, size), torch.split(of_texts, size), strict=True
            )
        ]
        return loss.detach(), pulls


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
