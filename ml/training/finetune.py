"""Training: pairs in, a run folder out (configuration, log, tokenizer, weights). Imports torch."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from tqdm import tqdm

from ml.artifact import CHECKPOINT, TOKENIZER
from ml.data.pairs import Corpus, NoPairs
from ml.data.tokenizer import load_tokenizer, train_tokenizer
from ml.errors import MlError
from ml.metrics.retrieval import means, retrieval_scores
from ml.models.checkpoint import empty_model, load_checkpoint, save_checkpoint
from ml.models.features import embed
from ml.models.tower_specs import HuggingFaceTower, TowerConfig
from ml.models.two_towers import Siglip, TwoTowers
from ml.training.batches import Shown
from ml.training.config import FinetuneConfig, UnfitConfig
from ml.training.distillation_targets import Lesson
from ml.training.distributed import Processes, UnevenBatch, of_first, wait_for_all
from ml.training.learner import Learner
from ml.training.run_folder import STATE, describe_run, make_folder, read_config, write_log
from ml.training.schedule import Schedule
from ml.training.start_huggingface import start_huggingface
from ml.training.training_state import Position, load_state, made_of, save_state

__all__ = ["embed", "finetune", "read_config", "refuse_small"]

ALONE: Final = Processes()


class RunExists(MlError):
    """A run where another was to be made."""


class TrainingDiverged(MlError):
    """The loss is no number any more."""


def finetune(
    config: FinetuneConfig,
    corpus: Corpus,
    out: Path,
    *,
    lesson: Lesson | None = None,
    start: Path | None = None,
    base: str | None = None,
    threads: int = 1,
    minutes: float | None = None,
    resume: bool = False,
    processes: Processes = ALONE,
) -> None:
    """Train on the corpus's train split and leave a run in `out`, written anew after every epoch.

    lesson: what to imitate, a row per pair. start: a run of the same towers whose weights and tokenizer to
    begin with. base: hub id or folder in place of a hub tower's own. threads: of torch; two trainings on one
    machine must not take more than it has. minutes: ends the run then, its schedules stretched to fit.
    resume: go on from the state in `out`, if there is one. Without minutes, a resumed run on a CPU ends with
    the weights of an unbroken one, to the bit.

    Raises:
        NoPairs: too few pairs to fit PCA on, or to validate with.
        RunExists: `out` holds a run, and resume was not asked for.
        UnevenBatch: the batch cannot be shared among processes and parts.
        UnfitConfig: the vocabulary cannot hold the letters of the captions.
        HubUnreachable, UnfitHubModel: a hub tower that cannot be had, or does not fit.
        UnfitState: the state to resume from is damaged, or of another run.
        TrainingDiverged: the loss became NaN or infinite; the run resumes from its last state.
        NotWritten: there is no room for a file; the run resumes from its last state.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(config.seed)
    refuse_small(corpus, config)
    refuse_uneven(config, processes)
    if not resume:
        refuse_overwriting(out)
    make_folder(out)
    model, tokenizer = beginning(config, corpus, out, start, base, resume=resume, processes=processes)
    shown = Shown(config, corpus, tokenizer, lesson, processes)
    learner = Learner(config, model, None if lesson is None else lesson.features.shape[1], processes)
    made_with = made_of(config, corpus.fingerprint, lesson)
    at = load_state(learner, made_with, out) if resume else Position()
    if processes.first:
        describe_run(out, config, corpus, processes.device, processes.count)
    steps = config.epochs * max(1, len(shown.rows) // config.batch)
    schedule = Schedule(steps, minutes, time.monotonic() - at.seconds)
    training = Training(config, corpus, out, processes, shown, learner, schedule, at, made_with)
    with tqdm(
        desc="training",
        total=None if minutes else steps,
        initial=at.step,
        unit="step",
        disable=None if processes.first else True,
    ) as bar:
        while of_first(schedule.progress(at.step)) < 1 and not out_of_patience(config, at):
            speed = training.learn_epoch(bar)
            training.end_epoch(speed)
            training.save()
    wait_for_all()


@dataclass(frozen=True)
class Training:
    """A run under way."""

    config: FinetuneConfig
    corpus: Corpus
    out: Path
    processes: Processes
    shown: Shown
    learner: Learner
    schedule: Schedule
    at: Position
    """Changes with every step."""
    made_with: Mapping[str, str]
    """See made_of."""

    def learn_epoch(self, bar: "tqdm[NoReturn]") -> float:
        """Take the steps of this epoch that are left, or those for which there is time. Pictures a second."""
        at, since, before, speed = self.at, time.monotonic(), self.at.done, 0.0
        for rows in self.shown.epoch(at.epoch)[at.done :]:
            if (progress := of_first(self.schedule.progress(at.step))) >= 1:
                break
            batch = self.shown.batch(rows, at.step, view_size(self.config, progress))
            losses = self.learner.learn(batch, at.step, progress)
            if not math.isfinite(sum(losses)):
                raise diverged(sum(losses), at.step, self.config, self.out)
            at.losses.append(losses)
            at.step, at.done = at.step + 1, at.done + 1
            speed = (at.done - before) * self.config.batch / (time.monotonic() - since)
            bar.update()
            bar.set_postfix_str(progress_text(losses[0], speed, self.schedule), refresh=False)
            if at.step % self.config.state_steps == 0:
                self.save()
        return speed

    def end_epoch(self, speed: float) -> None:
        """Validate, keep the averaged weights where they are wanted, and move on to the next epoch.

        Every process validates, so that all of them stop at the same epoch. speed: pictures a second.
        """
        at = self.at
        scores = validation_scores(self.learner.average.image, self.corpus, self.config.tower.image_size)
        mean = sum(scores.values()) / len(scores) if scores else 0.0
        better = mean > at.best
        at.best, at.waited = (mean, 0) if better else (at.best, at.waited + 1)
        at.epoch, at.done, at.seconds = at.epoch + 1, 0, self.schedule.seconds()
        loss, distil = np.mean(at.losses, axis=0).tolist() if at.losses else (math.nan, math.nan)
        figures = (round(at.seconds), round(loss, 4), round(distil, 4), round(speed))
        at.log += [(at.epoch, at.step, *figures, source, round(score, 4)) for source, score in scores.items()]
        at.losses = []
        if self.processes.first:
            if better or not self.config.patience:
                save_checkpoint(self.learner.average, self.out / CHECKPOINT)
            write_log(self.out, at.log)

    def save(self) -> None:
        """Write the state that a resumed run goes on from, unless the weights were spoilt by then."""
        if self.processes.first and self.learner.sound():
            self.at.seconds = self.schedule.seconds()
            save_state(self.learner, self.at, self.made_with, self.out)


def out_of_patience(config: FinetuneConfig, at: Position) -> bool:
    return 0 < config.patience <= at.waited


def view_size(config: FinetuneConfig, progress: float) -> int:
    """Pixels of a side of the views at a share of the run. A hub tower knows one size alone."""
    if isinstance(config.tower, HuggingFaceTower) or progress >= config.small_share:
        return config.tower.image_size
    return config.small_size


def progress_text(loss: float, speed: float, schedule: Schedule) -> str:
    """Loss, speed and, where the clock ends the run, the time left; else the bar itself shows that."""
    left = (
        ""
        if schedule.minutes is None
        else f", {max(0, schedule.minutes - schedule.seconds() / 60):.0f} min left"
    )
    return f"loss {loss:.3f}, {speed:.0f} pictures/s{left}"


def beginning(
    config: FinetuneConfig,
    corpus: Corpus,
    out: Path,
    start: Path | None,
    base: str | None,
    *,
    resume: bool,
    processes: Processes,
) -> tuple[TwoTowers, Tokenizer]:
    """The model and tokenizer that a run starts with; the first process leaves the tokenizer in the run."""
    tower = config.tower
    model: TwoTowers
    if resume and (out / TOKENIZER).exists():
        return empty_model(tower, out, checkpointing=config.checkpointing), load_tokenizer(out / TOKENIZER)
    if isinstance(tower, HuggingFaceTower):
        captions = train_captions(corpus)
        model, tokenizer = start_huggingface(
            tower, out, captions, start, base, checkpointing=config.checkpointing, processes=processes
        )
    elif start:
        model, tokenizer = load_checkpoint(start / CHECKPOINT, tower), load_tokenizer(start / TOKENIZER)
    else:
        model, tokenizer = Siglip(tower), fit_tokenizer(tower, corpus)
    if processes.first:
        tokenizer.save(str(out / TOKENIZER))
    return model, tokenizer


def fit_tokenizer(tower: TowerConfig, corpus: Corpus) -> Tokenizer:
    """Raises:
    UnfitConfig: the captions have more letters than the vocabulary may have words.
    """
    tokenizer = train_tokenizer(train_captions(corpus), vocabulary=tower.vocabulary, length=tower.tokens)
    if (size := tokenizer.get_vocab_size()) > tower.vocabulary:
        raise UnfitConfig(
            f"a vocabulary of {tower.vocabulary} cannot hold the {size} letters of the captions; "
            "configure a larger one"
        )
    return tokenizer


def train_captions(corpus: Corpus) -> list[str]:
    return [caption for row in corpus.rows("train") for caption in corpus.pairs[row].captions]


def refuse_small(corpus: Corpus, config: FinetuneConfig) -> None:
    """Raises:
    NoPairs: too few pairs to fit PCA on, or to validate with.
    """
    train, validation = len(corpus.rows("train")), len(corpus.rows("validation"))
    if train < config.dims or validation < 2:
        raise NoPairs(
            f"{train} pairs to train and {validation} to validate with after splitting; expected at least "
            f"{config.dims} (for a PCA to as many dims) and 2: give more data, or configure fewer dims"
        )


def refuse_overwriting(out: Path) -> None:
    """Raises:
    RunExists: there is a run already.
    """
    if (out / STATE).exists():
        raise RunExists(f"{out}: holds a run; go on with it by --resume, or choose another --out")


def refuse_uneven(config: FinetuneConfig, processes: Processes) -> None:
    parts = processes.count * config.accumulate
    if config.batch % parts:
        raise UnevenBatch(
            f"{config.name}: a batch of {config.batch} cannot be shared by {processes.count} processes in "
            f"{config.accumulate} parts each; configure a batch that is a multiple of {parts}"
        )


def diverged(loss: float, step: int, config: FinetuneConfig, out: Path) -> TrainingDiverged:
    return TrainingDiverged(
        f"{out}: loss or gradient is {loss} at step {step}; lower learning_rate ({config.learning_rate}) or "
        "look for blank photos, then run again with --resume: the last state before that is kept"
    )


def validation_scores(tower: nn.Module, corpus: Corpus, size: int) -> dict[str, float]:
    """nDCG@5 within each source's validation photos."""
    scores = {}
    for source in corpus.sources:
        rows = corpus.rows("validation", source)
        if len(rows) > 1:
            labels = [corpus.pairs[row].labels for row in rows]
            scores[source] = means(retrieval_scores(embed(tower, corpus.pixels[rows], size), labels))[
                "ndcg@5"
            ]
    return scores
