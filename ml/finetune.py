"""Training: pairs in, a run folder out (configuration, log, tokenizer, averaged weights). Imports torch."""

import copy
import csv
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from ml.artifact import CHECKPOINT, TOKENIZER
from ml.augment import random_views, to_unit_range
from ml.captions import load_tokenizer, tokenize, train_tokenizer
from ml.checkpoint import load_checkpoint, save_checkpoint
from ml.config import FinetuneConfig
from ml.errors import MlError
from ml.evaluate import means, retrieval_scores
from ml.loss import sigmoid_loss
from ml.model import ImageTower, Siglip
from ml.pairs import Corpus, NoPairs, Pair

CONFIG: Final = "config.json"
LOG: Final = "log.csv"
LOG_COLUMNS: Final = (
    "epoch",
    "step",
    "seconds",
    "loss",
    "distil_loss",
    "pictures_per_s",
    "source",
    "validation_ndcg@5",
)


class TrainingDiverged(MlError):
    """The loss is no number any more."""


class UnreadableRun(MlError):
    """A folder that is no run of this release."""


@dataclass(frozen=True)
class Schedule:
    """How far a run is: by steps, or by the clock where it must end at a given time."""

    steps: int
    minutes: float | None
    started: float
    """time.monotonic()"""

    def progress(self, step: int) -> float:
        """0 at the start, 1 or more at the end."""
        return step / self.steps if self.minutes is None else self.seconds() / (60 * self.minutes)

    def seconds(self) -> float:
        return time.monotonic() - self.started


class Captions:
    """Every caption of the pairs, tokenised once; a photo draws one of its own each time it is shown.

    Half the draws are the first caption, the title; the others are spread over the descriptions.
    """

    def __init__(self, pairs: Sequence[Pair], tokenizer: Tokenizer) -> None:
        distinct = list(dict.fromkeys(caption for pair in pairs for caption in pair.captions))
        number_of = {caption: number for number, caption in enumerate(distinct)}
        most = max(len(pair.captions) for pair in pairs)
        self._options = torch.full((len(pairs), most), -1)
        for row, pair in enumerate(pairs):
            numbers = [number_of[caption] for caption in pair.captions]
            self._options[row, : len(numbers)] = torch.tensor(numbers)
        self.token_ids = torch.from_numpy(tokenize(tokenizer, distinct))

    def draw(self, rows: Tensor, random: torch.Generator) -> Tensor:
        """(n,) caption numbers, one for each of rows (n,)."""
        options = self._options[rows]
        weights = (options >= 0).float()
        weights[:, 0] = weights[:, 1:].sum(dim=1).clamp(min=1)
        drawn = torch.multinomial(weights, 1, generator=random)
        return options.gather(1, drawn).squeeze(1)

    def matches(self, rows: Tensor, numbers: Tensor) -> Tensor:
        """(n, m) bool: whether the captions numbers (m,) are true of the photos of rows (n,)."""
        return (self._options[rows][:, :, None] == numbers[None, None, :]).any(dim=1)


class Learner:
    """The model in training, its average, and the head that imitates a teacher where there is one."""

    def __init__(self, config: FinetuneConfig, model: Siglip, targets: Tensor | None) -> None:
        self.config = config
        self.model = model.train().to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval()
        self.targets = targets
        self.imitate = nn.Linear(config.tower.channels[-1], 1 if targets is None else targets.shape[1])
        trained = nn.ModuleList([self.model, self.imitate])
        self.optimizer = torch.optim.AdamW(parameter_groups(trained, config.weight_decay))

    def learn(
        self, views: Tensor, rows: Tensor, token_ids: Tensor, matches: Tensor, step: int, progress: float
    ) -> tuple[float, float]:
        """The sigmoid loss and the loss against the teacher, before the step that this takes.

        views: (n, 3, s, s). rows: (n,) of the corpus. token_ids: (n, tokens). matches: (n, n) bool.
        """
        features = self.model.image.features(views.contiguous(memory_format=torch.channels_last))
        images = functional.normalize(self.model.image.head(features), dim=-1)
        texts = self.model.text(token_ids)
        loss = sigmoid_loss(images, texts, matches, self.model.log_scale.exp(), self.model.bias)
        distil = self.distil_loss(features, rows)
        self.optimizer.zero_grad()
        (loss + distil_weight(self.config, progress) * distil).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, progress)
        self.optimizer.step()
        # Early on the average follows faster, or it would carry the random start along.
        follow(self.average, self.model, min(self.config.ema, (step + 1) / (step + 11)))
        return loss.item(), distil.item()

    def distil_loss(self, features: Tensor, rows: Tensor) -> Tensor:
        if self.targets is None:
            return torch.zeros(())
        return 1 - functional.cosine_similarity(self.imitate(features), self.targets[rows]).mean()


def finetune(
    config: FinetuneConfig,
    corpus: Corpus,
    out: Path,
    *,
    teacher: NDArray[np.float32] | None = None,
    start: Path | None = None,
    threads: int = 1,
    minutes: float | None = None,
) -> None:
    """Train on the corpus's train split and leave a run in `out`, written anew after every epoch.

    teacher: (n, t) features of every pair's photo to distil from. start: a run of the same towers whose
    weights and tokenizer to begin with. threads: of torch; two trainings on one machine must not take more
    than it has. minutes: ends the run then, its schedules stretched to fit.

    Raises:
        NoPairs: too few pairs to fit PCA on, or to validate with.
        TrainingDiverged: the loss became NaN or infinite; the run holds the last good epoch.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(config.seed)
    random = torch.Generator().manual_seed(config.seed)
    out.mkdir(parents=True, exist_ok=True)
    (out / CONFIG).write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")
    refuse_small(corpus, config)
    train = corpus.rows("train")
    tokenizer = load_tokenizer(start / TOKENIZER) if start else fit_tokenizer(config, corpus, train)
    tokenizer.save(str(out / TOKENIZER))
    captions = Captions(corpus.pairs, tokenizer)
    shown = shown_rows(corpus, train, config.repeats)
    model = load_checkpoint(start / CHECKPOINT, config.tower) if start else Siglip(config.tower)
    learner = Learner(config, model, None if teacher is None else centred(teacher, train))
    pixels = torch.from_numpy(corpus.pixels)
    schedule = Schedule(config.epochs * max(1, len(shown) // config.batch), minutes, time.monotonic())

    losses: list[tuple[float, float]] = []
    epoch = step = 0
    with (
        (out / LOG).open("w", newline="", encoding="utf-8") as file,
        tqdm(desc="training", total=None if minutes else schedule.steps, unit="step", disable=None) as bar,
    ):
        log = csv.writer(file)
        log.writerow(LOG_COLUMNS)
        while (progress := schedule.progress(step)) < 1:
            epoch_started, losses = time.monotonic(), []
            for rows in batches(shown, config.batch, random):
                if (progress := schedule.progress(step)) >= 1:
                    break
                size = config.small_size if progress < config.small_share else config.tower.image_size
                views = random_views(
                    pixels[rows], size, crop=config.crop, contrast=config.contrast, random=random
                )
                numbers = captions.draw(rows, random)
                texts, matches = captions.token_ids[numbers], captions.matches(rows, numbers)
                losses.append(learner.learn(views, rows, texts, matches, step, progress))
                refuse_divergence(losses[-1][0], step, config, out)
                step += 1
                bar.update()
                bar.set_postfix(loss=f"{losses[-1][0]:.3f}", refresh=False)
            epoch += 1
            speed = len(losses) * config.batch / (time.monotonic() - epoch_started)
            save_checkpoint(learner.average, out / CHECKPOINT)
            for line in log_lines(learner.average.image, corpus, losses, speed):
                log.writerow([epoch, step, round(schedule.seconds()), *line])
            file.flush()


def refuse_small(corpus: Corpus, config: FinetuneConfig) -> None:
    train, validation = len(corpus.rows("train")), len(corpus.rows("validation"))
    if train < config.dims or validation < 2:
        raise NoPairs(
            f"{train} pairs to train and {validation} to validate with after splitting; expected at least "
            f"{config.dims} (for a PCA to as many dims) and 2: give more data, or configure fewer dims"
        )


def read_config(run: Path) -> FinetuneConfig:
    """The configuration that a run was made with.

    Raises:
        UnreadableRun: the folder holds none, or one of another release.
    """
    path = run / CONFIG
    try:
        return TypeAdapter(FinetuneConfig).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UnreadableRun(
            f"{path}: {error}; expected the folder of a run of `nitamono ml finetune`"
        ) from error


def fit_tokenizer(config: FinetuneConfig, corpus: Corpus, train: NDArray[np.int64]) -> Tokenizer:
    captions = [caption for row in train for caption in corpus.pairs[row].captions]
    return train_tokenizer(captions, vocabulary=config.tower.vocabulary, length=config.tower.tokens)


def shown_rows(corpus: Corpus, train: NDArray[np.int64], repeats: int) -> Tensor:
    """The rows of one epoch: those of photos without a title `repeats` times."""
    times = [1 if corpus.pairs[row].title else repeats for row in train]
    return torch.from_numpy(np.repeat(train, times))


def batches(rows: Tensor, size: int, random: torch.Generator) -> Sequence[Tensor]:
    """One epoch's rows in random order; those that fill no whole batch wait for another epoch."""
    order = rows[torch.randperm(len(rows), generator=random)]
    return [batch for batch in torch.split(order, size) if len(batch) == size] or [order]


def centred(features: NDArray[np.float32], train: NDArray[np.int64]) -> Tensor:
    """(n, t) unit norm, around the training photos' mean: what all photos share teaches nothing."""
    return functional.normalize(torch.from_numpy(features - features[train].mean(axis=0)), dim=-1)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Matrices decay; norms, biases, scale and bias do not."""
    parameters = list(model.parameters())
    return [
        {"params": [value for value in parameters if value.ndim > 1], "weight_decay": weight_decay},
        {"params": [value for value in parameters if value.ndim <= 1], "weight_decay": 0.0},
    ]


def learning_rate(config: FinetuneConfig, progress: float) -> float:
    """At a share 0 to 1 of the run: a linear warm-up, then a cosine to zero."""
    if progress < config.warm_up:
        return config.learning_rate * max(progress / config.warm_up, 0.01)
    rest = (progress - config.warm_up) / (1 - config.warm_up)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * rest))


def distil_weight(config: FinetuneConfig, progress: float) -> float:
    """At a share 0 to 1 of the run: a straight line between the configured ends."""
    return config.distil_weight + progress * (config.distil_end - config.distil_weight)


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move an average's weights and batch statistics a step towards the model's."""
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def refuse_divergence(loss: float, step: int, config: FinetuneConfig, out: Path) -> None:
    if not math.isfinite(loss):
        raise TrainingDiverged(
            f"{out}: loss is {loss} at step {step}; lower learning_rate ({config.learning_rate}) "
            "or look for blank photos, then run again"
        )


def log_lines(
    tower: ImageTower, corpus: Corpus, losses: Sequence[tuple[float, float]], speed: float
) -> Iterator[tuple[float, float, int, str, float]]:
    loss, distil = np.mean(losses, axis=0) if losses else (math.nan, math.nan)
    for source, score in validation_scores(tower, corpus).items():
        yield round(float(loss), 4), round(float(distil), 4), round(speed), source, round(score, 4)


@torch.no_grad()
def embed(tower: ImageTower, pixels: NDArray[np.uint8], batch: int = 128) -> NDArray[np.float32]:
    """(n, width) float32, unit norm, of pixels (n, s, s, 3) uint8, by a tower in evaluation mode."""
    parts = torch.split(torch.from_numpy(pixels), batch)
    return np.concatenate([tower(to_unit_range(part)).numpy() for part in parts])


def validation_scores(tower: ImageTower, corpus: Corpus) -> dict[str, float]:
    """nDCG@5 within each source's validation photos."""
    scores = {}
    for source in corpus.sources:
        rows = corpus.rows("validation", source)
        if len(rows) > 1:
            labels = [corpus.pairs[row].labels for row in rows]
            scores[source] = means(retrieval_scores(embed(tower, corpus.pixels[rows]), labels))["ndcg@5"]
    return scores
