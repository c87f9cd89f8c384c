"""Training: pairs in, a run folder out (configuration, log, tokenizer, averaged weights). Imports torch."""

import copy
import csv
import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from ml.artifact import CHECKPOINT, TOKENIZER
from ml.augment import random_views, to_unit_range
from ml.captions import tokenize, train_tokenizer
from ml.checkpoint import save_checkpoint
from ml.config import FinetuneConfig
from ml.evaluate import retrieval_scores
from ml.loss import sigmoid_loss
from ml.model import ImageTower, Siglip
from ml.pairs import Corpus

CONFIG: Final = "config.json"
LOG: Final = "log.csv"


class TrainingDiverged(RuntimeError):
    """The loss is no number any more."""


def finetune(
    config: FinetuneConfig,
    corpus: Corpus,
    out: Path,
    *,
    teacher: NDArray[np.float32] | None = None,
    threads: int = 1,
    minutes: float | None = None,
) -> None:
    """Train on the corpus's train split and leave a run in `out`, written anew after every epoch.

    teacher: (n, t) features of every pair's photo to distil from. threads: of torch; two trainings on one
    machine must not take more than it has. minutes: ends the run then, its schedules stretched to fit.

    Raises:
        TrainingDiverged: the loss became NaN or infinite; the run holds the last good epoch.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(config.seed)
    random = torch.Generator().manual_seed(config.seed)
    out.mkdir(parents=True, exist_ok=True)
    (out / CONFIG).write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")

    train = torch.from_numpy(corpus.rows("train"))
    captions = [list(pair.captions) for pair in corpus.pairs]
    tokenizer = train_tokenizer(
        (caption for row in train for caption in captions[row]),
        vocabulary=config.tower.vocabulary,
        length=config.tower.tokens,
    )
    tokenizer.save(str(out / TOKENIZER))
    numbers = {caption: number for number, caption in enumerate(dict.fromkeys(sum(captions, [])))}
    token_ids = torch.from_numpy(tokenize(tokenizer, list(numbers)))
    pixels = torch.from_numpy(corpus.pixels)

    model = Siglip(config.tower).to(memory_format=torch.channels_last)
    average = copy.deepcopy(model).eval()
    targets = None if teacher is None else centred(torch.from_numpy(teacher), train)
    student = nn.Linear(config.tower.channels[-1], 1 if targets is None else targets.shape[1])
    optimizer = torch.optim.AdamW(parameter_groups(nn.ModuleList([model, student]), config.weight_decay))

    steps = config.epochs * max(1, len(train) // config.batch)
    started, step, epoch = time.monotonic(), 0, 0
    progress = 0.0
    bar = tqdm(total=steps if minutes is None else None, unit="step", desc="training", disable=None)
    with (out / LOG).open("w", newline="", encoding="utf-8") as file:
        log = csv.writer(file)
        log.writerow(
            ["epoch", "step", "seconds", "loss", "distil_loss", "pictures_per_s", "source", "ndcg@5"]
        )
        while progress < 1:
            losses, epoch_started = [], time.monotonic()
            for rows in batches(train, config.batch, random):
                progress = step / steps if minutes is None else (time.monotonic() - started) / (60 * minutes)
                if progress >= 1:
                    break
                optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = rate(config, progress)
                size = config.small_size if progress < config.small_share else config.tower.image_size
                views = random_views(
                    pixels[rows], size, crop=config.crop, contrast=config.contrast, random=random
                )
                chosen = torch.tensor([numbers[choice(captions[row], random)] for row in rows.tolist()])
                features = model.image.features(views.contiguous(memory_format=torch.channels_last))
                images = functional.normalize(model.image.head(features), dim=-1)
                texts = model.text(token_ids[chosen])
                loss = sigmoid_loss(images, texts, chosen, model.log_scale.exp(), model.bias)
                distil = torch.zeros(())
                if targets is not None:
                    distil = 1 - functional.cosine_similarity(student(features), targets[rows]).mean()
                weight = config.distil_weight + progress * (config.distil_end - config.distil_weight)
                optimizer.zero_grad()
                (loss + weight * distil).backward()
                nn.utils.clip_grad_norm_(model.parameters(), config.gradient_norm)
                optimizer.step()
                step += 1
                follow(average, model, min(config.ema, step / (step + 10)))
                losses.append((loss.item(), distil.item()))
                bar.update()
                bar.set_postfix(loss=f"{losses[-1][0]:.3f}", refresh=False)
                if not math.isfinite(losses[-1][0]):
                    raise TrainingDiverged(
                        f"loss {losses[-1][0]} at step {step} of {out}; lower learning_rate "
                        f"({config.learning_rate}) or check the photos, then run again"
                    )
            epoch += 1
            seconds = time.monotonic() - epoch_started
            save_checkpoint(average, out / CHECKPOINT)
            mean_loss, mean_distil = np.mean(losses or [(math.nan, math.nan)], axis=0)
            speed = len(losses) * config.batch / seconds
            for source, score in validation_scores(average.image, corpus).items():
                row = [epoch, step, time.monotonic() - started, mean_loss, mean_distil, speed]
                log.writerow([*(round(float(value), 4) for value in row), source, round(score, 4)])
            file.flush()
    bar.close()


def batches(rows: Tensor, size: int, random: torch.Generator) -> tuple[Tensor, ...]:
    """One epoch's rows in random order; a last batch smaller than `size` is left to the next epoch's luck."""
    order = rows[torch.randperm(len(rows), generator=random)]
    whole = [batch for batch in order.split(size) if len(batch) == size]
    return tuple(whole) or (order,)


def choice(captions: list[str], random: torch.Generator) -> str:
    return captions[int(torch.randint(len(captions), (), generator=random))]


def centred(features: Tensor, train: Tensor) -> Tensor:
    """Unit features (n, t) around the training photos' mean: what all photos share teaches nothing."""
    return functional.normalize(features - features[train].mean(0), dim=-1)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Matrices decay; norms, biases, scale and bias do not."""
    parameters = list(model.parameters())
    return [
        {"params": [value for value in parameters if value.ndim > 1], "weight_decay": weight_decay},
        {"params": [value for value in parameters if value.ndim <= 1], "weight_decay": 0.0},
    ]


def rate(config: FinetuneConfig, progress: float) -> float:
    """Learning rate at a share 0 to 1 of the run: linear warm-up, then a cosine to zero."""
    if progress < config.warm_up:
        return config.learning_rate * max(progress / config.warm_up, 0.01)
    rest = (progress - config.warm_up) / (1 - config.warm_up)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * rest))


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move an average's weights and batch statistics a step towards the model's."""
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


@torch.no_grad()
def embed(tower: ImageTower, pixels: NDArray[np.uint8], batch: int = 128) -> NDArray[np.float32]:
    """(n, width) float32, unit norm, of pixels (n, s, s, 3) uint8, by a tower in evaluation mode."""
    parts = torch.from_numpy(pixels).split(batch)
    return np.concatenate([tower(to_unit_range(part)).numpy() for part in parts])


def validation_scores(tower: ImageTower, corpus: Corpus) -> dict[str, float]:
    """nDCG@5 within each source's validation photos."""
    scores = {}
    for source in corpus.sources:
        rows = corpus.rows("validation", source)
        if len(rows) > 1:
            labels = [corpus.pairs[row].labels for row in rows]
            scores[source] = retrieval_scores(embed(tower, corpus.pixels[rows]), labels).means()["ndcg@5"]
    return scores
