"""The training loop, from a corpus to a run folder. Imports torch."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from tqdm import tqdm

from ml.artifact import CHECKPOINT, TOKENIZER
from ml.data.corpus import Corpus, evenly
from ml.data.pairs import NoPairs
from ml.data.tokenizer import load_tokenizer, train_tokenizer
from ml.errors import MlError
from ml.metrics.relevance import UninformativeLabels
from ml.metrics.retrieval import means, retrieval_scores
from ml.models.checkpoint import empty_model, load_checkpoint, save_checkpoint
from ml.models.efficientnet_lite import imagenet_weights
from ml.models.features import embed
from ml.models.tower_specs import HuggingFaceTower, TowerConfig
from ml.models.two_towers import ImageTower, Siglip, TwoTowers, fit_mean, fit_norm_range
from ml.training.batches import BatchSampler
from ml.training.config import FinetuneConfig, InvalidConfig
from ml.training.distributed import Processes, UnevenBatch, broadcast_first, wait_for_all
from ml.training.learner import Learner
from ml.training.run_folder import STATE, Line, describe_run, make_folder, write_log
from ml.training.schedule import Schedule
from ml.training.start_huggingface import start_huggingface
from ml.training.training_state import RunState, load_state, run_identity, save_state


class RunExists(MlError):
    """A new run in a folder that already has one."""


class TrainingDiverged(MlError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class RunOptions:
    """Options of a run in addition to its configuration and data."""

    start: Path | None = None
    """A run of the same towers whose weights and tokenizer to start from."""
    base: str | None = None
    """A Hugging Face id or folder that replaces the configured source of a HuggingFaceTower."""
    threads: int = 1
    """Threads of torch."""
    minutes: float | None = None
    """Duration of the run; its schedules are stretched to fit."""
    resume: bool = False
    """Continue from the state in the run folder if there is one."""


def finetune(
    config: FinetuneConfig,
    corpus: Corpus,
    out: Path,
    options: RunOptions = RunOptions(),
    processes: Processes = Processes(),  # noqa: B008  frozen
) -> None:
    """Train on the corpus's train split and write the run to `out` after every epoch.

    Without `minutes`, a resumed run on a CPU ends with exactly the weights of an uninterrupted one.

    Raises:
        NoPairs: too few pairs to fit PCA on, or to validate with.
        RunExists: `out` has a run, and `resume` is not set.
        UnevenBatch: the batch cannot be divided among processes and parts.
        InvalidConfig: the vocabulary cannot hold the letters of the captions.
        WeightsMissing: the package of the network's weights is not installed.
        HuggingFaceUnreachable, UnsupportedModel: a Hugging Face model cannot be downloaded, or does not fit.
        StateMismatch: the state to resume from is damaged, or belongs to another run.
        TrainingDiverged: the loss became NaN or infinite; the run can resume from its last state.
        NotWritten: the disk is full; the run can resume from its last state.
    """
    torch.set_num_threads(options.threads)
    torch.manual_seed(config.seed)
    check_enough_pairs(corpus, config)
    check_divisible(config, processes)
    if not options.resume:
        check_no_run(out)
    make_folder(out)
    start_training(config, corpus, out, options, processes).run()
    wait_for_all()


def start_training(
    config: FinetuneConfig, corpus: Corpus, out: Path, options: RunOptions, processes: Processes
) -> "Training":
    """Prepare a run at its start, or where it was interrupted. Errors are those of finetune."""
    model, tokenizer = initial_model(config, corpus, out, options, processes)
    sampler = BatchSampler(config, corpus, tokenizer, processes)
    learner = Learner(config, model, sampler.classes, processes)
    identity = run_identity(config, corpus.fingerprint)
    state = load_state(learner, identity, out) if options.resume else RunState()
    if processes.first:
        describe_run(out, config, corpus, processes.device, processes.count)
    steps = config.epochs * max(1, len(sampler.rows) // config.batch)
    schedule = Schedule(steps, options.minutes, time.monotonic() - state.seconds)
    return Training(config, corpus, out, processes, sampler, learner, schedule, state, identity)


@dataclass(frozen=True)
class Training:
    """A run in progress."""

    config: FinetuneConfig
    corpus: Corpus
    out: Path
    processes: Processes
    sampler: BatchSampler
    learner: Learner
    schedule: Schedule
    state: RunState
    """Changes with every step."""
    identity: Mapping[str, str]
    """See run_identity."""

    def run(self) -> None:
        """Train until the schedule or the patience ends."""
        with tqdm(
            desc="training",
            total=None if self.schedule.minutes else self.schedule.steps,
            initial=self.state.step,
            unit="step",
            disable=None if self.processes.first else True,
        ) as bar:
            while not self.finished():
                photos_per_s = self.train_epoch(bar)
                self.end_epoch(photos_per_s)
                self.save()
        if not self.config.epochs:
            self.end_epoch(0.0)

    def finished(self) -> bool:
        """Whether the schedule has ended, or validation has not improved for `patience` epochs."""
        if broadcast_first(self.schedule.progress(self.state.step)) >= 1:
            return True
        return 0 < self.config.patience <= self.state.epochs_since_best

    def train_epoch(self, bar: "tqdm[NoReturn]") -> float:
        """Take the remaining steps of this epoch, or as many as there is time for, and return photos/s."""
        state, started, before, photos_per_s = self.state, time.monotonic(), self.state.epoch_steps, 0.0
        for rows in self.sampler.epoch(state.epoch)[before:]:
            if (progress := broadcast_first(self.schedule.progress(state.step))) >= 1:
                break
            loss = self.take_step(rows, progress)
            photos_per_s = (state.epoch_steps - before) * self.config.batch / (time.monotonic() - started)
            bar.update()
            bar.set_postfix_str(progress_text(loss, photos_per_s, self.schedule), refresh=False)
            if state.step % self.config.state_steps == 0:
                self.save()
        return photos_per_s

    def take_step(self, rows: Tensor, progress: float) -> float:
        """Train on the photos of rows (n,) int64, and return the sum of the losses.

        Raises:
            TrainingDiverged: a loss or gradient is NaN or infinite.
        """
        state = self.state
        batch = self.sampler.batch(rows, state.step, self.config.tower.image_size)
        losses = self.learner.learn(batch, state.step, progress)
        if not math.isfinite(sum(losses)):
            raise diverged(sum(losses), state.step, self.config, self.out)
        state.losses.append(losses)
        state.step, state.epoch_steps = state.step + 1, state.epoch_steps + 1
        return sum(losses)

    def end_epoch(self, photos_per_s: float) -> None:
        """Validate, save the averaged weights and the log, and advance to the next epoch.

        Every process validates, so that all of them stop at the same epoch.
        """
        state = self.state
        image, size, share = (
            self.learner.average.image,
            self.config.tower.image_size,
            seen_share(self.config, self.corpus),
        )
        if isinstance(image, ImageTower):
            fit_norm_range(image, self.corpus.pixels[self.corpus.rows("validation")], share)
        scores = validation_scores(image, self.corpus, size, share)
        known = [score for score in scores.values() if not math.isnan(score)]
        mean = sum(known) / len(known) if known else 0.0
        better = mean > state.best
        state.best, state.epochs_since_best = (
            (mean, 0) if better else (state.best, state.epochs_since_best + 1)
        )
        state.epoch, state.epoch_steps, state.seconds = state.epoch + 1, 0, self.schedule.seconds()
        state.log += log_lines(state, photos_per_s, scores)
        state.losses = []
        if self.processes.first:
            if better or not self.config.patience:
                save_checkpoint(self.learner.average, self.out / CHECKPOINT)
            write_log(self.out, state.log)

    def save(self) -> None:
        """Write the state to resume from, unless a weight is NaN or infinite."""
        if self.processes.first and self.learner.is_finite():
            self.state.seconds = self.schedule.seconds()
            save_state(self.learner, self.state, self.identity, self.out)


def seen_share(config: FinetuneConfig, corpus: Corpus) -> float:
    """Share of the side of a corpus's pixels that the tower sees when it is used."""
    return (config.tower.crop or 1.0) / (corpus.crop or 1.0)


def log_lines(state: RunState, photos_per_s: float, scores: Mapping[str, float]) -> list[Line]:
    """A log line for each source's validation nDCG@5, with the mean losses of the epoch."""
    losses = np.mean(state.losses, axis=0).tolist() if state.losses else (math.nan, math.nan)
    figures = (round(state.seconds), round(losses[0], 4), round(losses[1], 4), round(photos_per_s))
    return [(state.epoch, state.step, *figures, source, round(score, 4)) for source, score in scores.items()]


def progress_text(loss: float, photos_per_s: float, schedule: Schedule) -> str:
    """Loss, speed and, in a run limited by time, the minutes left."""
    text = f"loss {loss:.3f}, {photos_per_s:.0f} photos/s"
    if schedule.minutes is None:
        return text
    return f"{text}, {max(0, schedule.minutes - schedule.seconds() / 60):.0f} min left"


def initial_model(
    config: FinetuneConfig, corpus: Corpus, out: Path, options: RunOptions, processes: Processes
) -> tuple[TwoTowers, Tokenizer]:
    """Create or load the model and tokenizer of a run; the first process saves the tokenizer in the run."""
    tower, start = config.tower, options.start
    model: TwoTowers
    if options.resume and (out / STATE).exists() and (out / TOKENIZER).exists():
        return empty_model(tower, out, checkpointing=config.checkpointing), load_tokenizer(out / TOKENIZER)
    if isinstance(tower, HuggingFaceTower):
        captions = train_captions(corpus)
        model, tokenizer = start_huggingface(
            tower, out, captions, start, options.base, checkpointing=config.checkpointing, processes=processes
        )
    elif start:
        model, tokenizer = load_checkpoint(start / CHECKPOINT, tower), load_tokenizer(start / TOKENIZER)
    else:
        captions = train_captions(corpus) if config.sigmoid_weight else []
        model, tokenizer = pretrained(config, tower, corpus), fit_tokenizer(tower, captions)
    if processes.first:
        tokenizer.save(str(out / TOKENIZER))
    return model, tokenizer


MEAN_PHOTOS: Final = 2000
"""Training photos, evenly spaced, whose mean features directions are relative to."""


def pretrained(config: FinetuneConfig, tower: TowerConfig, corpus: Corpus) -> Siglip:
    """The towers at the start: a network with its weights from ImageNet, the rest random.

    Raises:
        WeightsMissing: the package of the weights is not installed.
    """
    model = Siglip(tower).eval()
    if tower.pretrained:
        model.image.network.load_state_dict(imagenet_weights(tower.network))
    photos = corpus.pixels[evenly(corpus.rows("train"), MEAN_PHOTOS)]
    fit_mean(model.image, photos, seen_share(config, corpus))
    return model


def fit_tokenizer(tower: TowerConfig, captions: Sequence[str]) -> Tokenizer:
    """Train a WordPiece tokenizer on captions.

    Raises:
        InvalidConfig: the captions have more distinct letters than the vocabulary can hold.
    """
    tokenizer = train_tokenizer(captions, vocabulary=tower.vocabulary, length=tower.tokens)
    if (size := tokenizer.get_vocab_size()) > tower.vocabulary:
        raise InvalidConfig(
            f"a vocabulary of {tower.vocabulary} cannot hold the {size} letters of the captions; "
            "raise TowerConfig.vocabulary in the configuration"
        )
    return tokenizer


def train_captions(corpus: Corpus) -> list[str]:
    """Every caption of the train split."""
    return [caption for row in corpus.rows("train") for caption in corpus.pairs[row].captions]


def check_enough_pairs(corpus: Corpus, config: FinetuneConfig) -> None:
    """Check that there is enough data.

    Raises:
        NoPairs: too few pairs to fit PCA on, or to validate with.
    """
    train, validation = len(corpus.rows("train")), len(corpus.rows("validation"))
    if train < config.dims or validation < 2:
        raise NoPairs(
            f"{train} pairs to train and {validation} to validate with after splitting; expected at least "
            f"{config.dims} (for PCA to {config.dims} dims) and 2; add data, or configure fewer dims"
        )


def check_no_run(out: Path) -> None:
    """Check that `out` has no run.

    Raises:
        RunExists: it has one.
    """
    if (out / STATE).exists():
        raise RunExists(f"{out}: already has a run; continue it with --resume, or choose another --out")


def check_divisible(config: FinetuneConfig, processes: Processes) -> None:
    """Check that the batch can be divided.

    Raises:
        UnevenBatch: it is not a multiple of processes times parts.
    """
    parts = processes.count * config.accumulate
    if config.batch % parts:
        raise UnevenBatch(
            f"{config.name}: a batch of {config.batch} cannot be divided among {processes.count} processes "
            f"in {config.accumulate} parts each; configure a batch that is a multiple of {parts}"
        )


def diverged(loss: float, step: int, config: FinetuneConfig, out: Path) -> TrainingDiverged:
    """The error for a loss that is NaN or infinite."""
    return TrainingDiverged(
        f"{out}: loss or gradient is {loss} at step {step}; lower learning_rate ({config.learning_rate}) or "
        "look for blank photos, then run again with --resume: the last valid state is kept"
    )


def validation_scores(tower: nn.Module, corpus: Corpus, size: int, share: float = 1.0) -> dict[str, float]:
    """nDCG@5 on each source's validation photos, searched within that source. share: see squares.

    NaN for a source whose labels do not tell which photos are alike.
    """
    scores = {}
    for source in corpus.sources:
        rows = corpus.rows("validation", source)
        if len(rows) > 1:
            labels = [corpus.pairs[row].labels for row in rows]
            vectors = embed(tower, corpus.pixels[rows], size, share)
            scores[source] = math.nan
            with suppress(UninformativeLabels):
                scores[source] = means(retrieval_scores(vectors, labels))["ndcg@5"]
    return scores
