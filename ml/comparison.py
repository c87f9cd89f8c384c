"""Evaluations from data to rows: one comparison for each source of the data."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ml.contenders import Contenders, baseline_of, fit_mobilenets, rankings
from ml.evaluate import DEPTH, RANKS, NothingToSearch, Ranking, Row, compare
from ml.pairs import Corpus, short_name
from ml.relevance import Counts, JudgedRelevance, Judgment, LabelRelevance, Relevance
from ml.slices import query_groups

LEAST_PHOTOS: Final = 2


@dataclass(frozen=True)
class Task:
    """What is asked of an evaluation beside the encoders."""

    split: str = "test"
    ks: tuple[int, ...] = (DEPTH,)
    baseline: str | None = None
    judgments: Sequence[Judgment] | None = None
    judgments_name: str = ""


@dataclass(frozen=True)
class Comparison:
    """Everything measured on one source."""

    source: str
    task: Task
    searched: Corpus
    """The photos of the split; rankings are rows of it."""
    sizes: dict[str, int]
    """Photos of the source by split."""
    relevance: Relevance
    rankings: dict[str, Ranking]
    rows: list[Row]
    baseline: str | None

    @property
    def name(self) -> str:
        """A name for readers elsewhere."""
        return short_name(self.source)

    @property
    def metric(self) -> str:
        """The one that gains, tests and slices are about."""
        return f"ndcg@{self.task.ks[0]}"

    @property
    def counts(self) -> Counts | None:
        """What became of the judgments; None where labels are graded."""
        return self.relevance.counts if isinstance(self.relevance, JudgedRelevance) else None


def comparisons(corpus: Corpus, contenders: Contenders, task: Task) -> Iterator[Comparison]:
    """A comparison per source of a corpus that was read at contenders.image_size.

    Raises:
        NothingToSearch: a source has too few photos in the split.
        NothingToTell: all its photos have the same labels, or none has a like.
        UnusableJudgments: no judgment is about its photos.
        UnknownEncoder: there is no row of the baseline's name.
    """
    tasks = [(source, relevance_of(corpus, source, task)) for source in corpus.sources]
    projections = fit_mobilenets(contenders, corpus)
    for source, relevance in tasks:
        searched = corpus.part(corpus.rows(task.split, source))
        found = rankings(contenders, searched, projections, max(RANKS, *task.ks))
        baseline = baseline_of(list(found), contenders, task.baseline)
        groups = query_groups(searched, corpus)
        rows = compare(found, relevance, baseline, ks=task.ks, groups=groups)
        sizes = Counter(corpus.splits[corpus.rows("all", source)].tolist())
        yield Comparison(source, task, searched, dict(sizes), relevance, found, rows, baseline)


def relevance_of(corpus: Corpus, source: str, task: Task) -> Relevance:
    pairs = [corpus.pairs[row] for row in corpus.rows(task.split, source)]
    if len(pairs) < LEAST_PHOTOS:
        raise NothingToSearch(
            f"{source}: {len(pairs)} usable photos in split {task.split}, expected {LEAST_PHOTOS} or more; "
            "give more data, or another --split"
        )
    if task.judgments is None:
        return LabelRelevance([pair.labels for pair in pairs])
    return JudgedRelevance(task.judgments, [pair.item_id for pair in pairs], task.judgments_name)
