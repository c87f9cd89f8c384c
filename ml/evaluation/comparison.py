"""Comparisons of encoders, one for each source of the data."""

import importlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ml.data.corpus import Corpus, unique_names
from ml.errors import MlError
from ml.evaluation.evaluated_encoders import EvaluatedEncoders, baseline_of, fit_mobilenets, rankings
from ml.evaluation.rows import Row, compare
from ml.evaluation.slices import query_groups
from ml.metrics.relevance import (
    Counts,
    JudgedRelevance,
    Judgment,
    LabelRelevance,
    Relevance,
    UnusableJudgments,
)
from ml.metrics.retrieval import DEPTH, RANKS, Ranking
from ml.models.checkpoint import tower_config

MIN_PHOTOS: Final = 2


class SplitTooSmall(MlError):
    """A source has too few photos in the split."""


@dataclass(frozen=True)
class Task:
    """Options of an evaluation other than the encoders."""

    split: str = "test"
    ks: tuple[int, ...] = (DEPTH,)
    baseline: str | None = None
    judgments: Sequence[Judgment] | None = None
    judgments_name: str = ""


@dataclass(frozen=True)
class Comparison:
    """All measurements on one source."""

    source: str
    name: str
    """Short name for reports, unique within the run."""
    task: Task
    searched: Corpus
    """The photos of the split; rankings have its row numbers."""
    sizes: dict[str, int]
    """Number of photos of the source, by split."""
    relevance: Relevance
    rankings: dict[str, Ranking]
    rows: list[Row]
    baseline: str | None

    @property
    def metric(self) -> str:
        """The metric of gains, tests and slices: nDCG at the first k."""
        return f"ndcg@{self.task.ks[0]}"

    @property
    def counts(self) -> Counts | None:
        """Counts of judgments; None if relevance is graded by labels."""
        return self.relevance.counts if isinstance(self.relevance, JudgedRelevance) else None


def comparisons(
    corpus: Corpus,
    encoders: EvaluatedEncoders,
    task: Task,
    left_out: Callable[[UnusableJudgments], object] = lambda _: None,
) -> Iterator[Comparison]:
    """Compare the encoders on each source of a corpus that was read at encoders.preprocessing.

    left_out: called with the reason for each source that is skipped because no judgment is about it.

    Raises:
        SplitTooSmall: a source has too few photos in the split.
        UninformativeLabels: all its photos have the same labels, or no two share a type.
        UnusableJudgments: no judgment is about the photos of any source.
        UnknownEncoder: no row has the baseline's name.
    """
    relevances, unusable = relevances_of(corpus, task)
    for error in unusable:
        left_out(error)
    names = unique_names(corpus.sources)
    projections = fit_mobilenets(encoders, corpus)
    for source, relevance in relevances.items():
        searched = corpus.part(corpus.rows(task.split, source))
        ranked = rankings(encoders, searched, projections, max(RANKS, *task.ks))
        baseline = baseline_of(list(ranked), encoders, task.baseline)
        groups = query_groups(searched, corpus)
        rows = compare(ranked, relevance, baseline, ks=task.ks, groups=groups)
        sizes = Counter(corpus.splits[corpus.rows("all", source)].tolist())
        yield Comparison(
            source, names[source], task, searched, dict(sizes), relevance, ranked, rows, baseline
        )


def relevances_of(corpus: Corpus, task: Task) -> tuple[dict[str, Relevance], list[UnusableJudgments]]:
    """The relevance of each source, and an error for each source without a usable judgment.

    Raises:
        SplitTooSmall, UninformativeLabels, UnusableJudgments: see comparisons.
    """
    relevances: dict[str, Relevance] = {}
    unusable = []
    for source in corpus.sources:
        try:
            relevances[source] = relevance_of(corpus, source, task)
        except UnusableJudgments as error:
            unusable.append(error)
    if not relevances:
        raise UnusableJudgments("; ".join(map(str, unusable)))
    return relevances, unusable


def relevance_of(corpus: Corpus, source: str, task: Task) -> Relevance:
    """The relevance among a source's photos of the split, from judgments or else from labels.

    Raises:
        SplitTooSmall, UninformativeLabels, UnusableJudgments: see comparisons.
    """
    pairs = [corpus.pairs[row] for row in corpus.rows(task.split, source)]
    if len(pairs) < MIN_PHOTOS:
        raise SplitTooSmall(
            f"{source}: {len(pairs):,} usable photos in split {task.split}, expected at least {MIN_PHOTOS}; "
            "add data, or choose another --split"
        )
    if task.judgments is None:
        return LabelRelevance([pair.labels for pair in pairs])
    name = f"{task.judgments_name} on {source}"
    return JudgedRelevance(task.judgments, [pair.item_id for pair in pairs], name)


def import_libraries(encoders: EvaluatedEncoders, *, charts: bool = False) -> None:
    """Import what the rows, and charts, need, so that a missing library stops the command early.

    Raises:
        ModuleNotFoundError: a library is not installed.
    """
    if encoders.mobilenets or any(tower_config(artifact) for artifact in encoders.artifacts):
        importlib.import_module("torch")
    if encoders.mobilenets:
        importlib.import_module("transformers")
    if charts:
        importlib.import_module("matplotlib")
