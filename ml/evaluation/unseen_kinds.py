"""Leave-one-kind-out: how an encoder does on kinds of photo that it was never trained on. Imports torch."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from ml.artifact import CHECKPOINT, Manifest
from ml.data.corpus import Corpus, evenly, short_name
from ml.data.pairs import Labels
from ml.errors import MlError
from ml.metrics.relevance import LabelRelevance
from ml.metrics.retrieval import Vectors, means, retrieval_scores
from ml.models.checkpoint import load_checkpoint, load_frozen_start
from ml.models.features import embed
from ml.models.reference_encoders import mobilenet_features
from ml.models.tower_specs import TowerConfig
from ml.models.two_towers import TwoTowers
from ml.pca.projection import fit_projection
from ml.training.config import FinetuneConfig, InvalidConfig
from ml.training.finetune import RunOptions, finetune, seen_share

METRIC: Final = "ndcg@5"
HELD_OUT: Final = "held out"
"""The split of photos of the kind that is left out."""
PCA_PHOTOS: Final = 3000
"""Maximum number of training photos, evenly spaced, that each PCA is fitted to."""


class NoSuchKind(MlError):
    """A kind that no photo is of, or that all are."""


class UnreadableUnseen(MlError):
    """A damaged file of measured kinds, or one of another configuration or of other data."""


@dataclass(frozen=True)
class UnseenKind:
    """The nDCG@5 of each photo of a kind as a query among the others, by encoders that never saw the kind."""

    kind: str
    pattern: str
    photos: int
    served: float
    """After PCA, which was fitted without the kind too."""
    full_width: float
    frozen_start: float | None
    """The network before training, after PCA; None if it has no published weights here."""
    baseline: float
    """MobileNetV2 after PCA, fitted to the same photos."""
    baseline_full_width: float

    @property
    def ratio(self) -> float:
        """Of served vectors to the baseline after PCA; NaN if that finds nothing."""
        return self.served / self.baseline if self.baseline else math.nan


@dataclass(frozen=True)
class UnseenKinds:
    """The kinds that were measured, and how."""

    config: str
    """Name of the configuration."""
    epochs: int
    data_fingerprint: str
    settings: dict[str, JsonValue]
    """Those of the configuration; the epochs of the runs are fewer than an artifact's."""
    kinds: Annotated[tuple[UnseenKind, ...], Field(min_length=1)]

    @property
    def rows(self) -> tuple[UnseenKind, ...]:
        """The kinds and their mean."""
        return (*self.kinds, mean_kind(self.kinds))


def unseen_kinds(
    config: FinetuneConfig,
    corpus: Corpus,
    kinds: Mapping[str, re.Pattern[str]],
    mobilenet: Path,
    out: Path,
    *,
    threads: int = 1,
) -> Iterator[UnseenKind]:
    """For each kind, train on all other photos and measure on the photos of the kind.

    kinds: by name, patterns that are searched in SOURCE/TYPE of each photo, such as fashion/Heels.
    mobilenet: folder of a MobileNetV2. out: folder of the runs, which are kept, and are resumed or used if
        they are of the same configuration and data.

    Raises:
        InvalidConfig: a Hugging Face tower, whose training takes weeks on a CPU.
        NoSuchKind: no photo matches a pattern, or all do.
        UninformativeLabels: the labels of a kind's photos do not tell which of them are alike.
        Others as `finetune`.
    """
    if not isinstance(config.tower, TowerConfig):
        raise InvalidConfig(f"{config.name}: `nitamono ml unseen` trains on the CPU; choose a TowerConfig")
    held_out = {kind: of_kind(corpus, kind, pattern) for kind, pattern in kinds.items()}
    for left in held_out.values():
        LabelRelevance(labels_of(corpus, left))
    baseline = mobilenet_features(
        mobilenet, [pair.photo.read_bytes() for pair in corpus.pairs], threads=threads
    )
    for kind, left in held_out.items():
        # Photos that are in no split keep their rows, so that the pixels need not be copied.
        rest = replace(corpus, splits=np.where(left, HELD_OUT, corpus.splits))
        finetune(config, rest, out / kind, RunOptions(threads=threads, resume=True))
        yield measured_kind(config, corpus, kind, kinds[kind].pattern, left, baseline, out / kind)


def labels_of(corpus: Corpus, chosen: NDArray[np.bool_]) -> list[Labels]:
    """The labels of chosen (n,) bool photos."""
    return [corpus.pairs[row].labels for row in np.flatnonzero(chosen)]


def of_kind(corpus: Corpus, kind: str, pattern: re.Pattern[str]) -> NDArray[np.bool_]:
    """(n,) bool: which photos of a corpus are of a kind.

    Raises:
        NoSuchKind: none or all are.
    """
    names = [f"{short_name(pair.source)}/{pair.labels.type}" for pair in corpus.pairs]
    left = np.array([pattern.search(name) is not None for name in names])
    if left.all() or not left.any():
        examples = ", ".join(sorted(set(names))[:5])
        raise NoSuchKind(
            f"{kind}: {'all' if left.any() else 'none'} of {len(names)} photos match {pattern.pattern!r}; "
            f"it is searched in SOURCE/TYPE, such as {examples}"
        )
    return left


def measured_kind(
    config: FinetuneConfig,
    corpus: Corpus,
    kind: str,
    pattern: str,
    left: NDArray[np.bool_],
    baseline: Vectors,
    run: Path,
) -> UnseenKind:
    """Measure the run that was trained without a kind. left: (n,) bool, the photos of the kind."""
    rows = np.flatnonzero(left)
    train = evenly(np.flatnonzero(~left & (corpus.splits == "train")), PCA_PHOTOS)
    labels = labels_of(corpus, left)
    size, share, path = config.tower.image_size, seen_share(config, corpus), run / CHECKPOINT

    def score(vectors: Vectors) -> float:
        return means(retrieval_scores(vectors, labels))[METRIC]

    def both(of_train: Vectors, of_kind: Vectors) -> tuple[float, float]:
        return score(fit_projection(of_train, config.dims).apply(of_kind)), score(of_kind)

    def by_tower(load: Callable[[], TwoTowers]) -> tuple[float, float]:
        image = load().image
        of_train, of_kind = (embed(image, corpus.pixels[chosen], size, share) for chosen in (train, rows))
        return both(of_train, of_kind)

    tower = config.tower
    served, full_width = by_tower(lambda: load_checkpoint(path, tower))
    frozen_start = None
    if isinstance(tower, TowerConfig) and tower.pretrained:
        frozen_start, _ = by_tower(lambda: load_frozen_start(path, tower))
    baseline_served, baseline_full = both(baseline[train], baseline[rows])
    return UnseenKind(
        kind, pattern, len(rows), served, full_width, frozen_start, baseline_served, baseline_full
    )


def mean_kind(kinds: Sequence[UnseenKind]) -> UnseenKind:
    """The means over kinds, each of which counts the same."""
    starts = [one.frozen_start for one in kinds if one.frozen_start is not None]
    return UnseenKind(
        "mean of kinds",
        "",
        sum(one.photos for one in kinds),
        fmean(one.served for one in kinds),
        fmean(one.full_width for one in kinds),
        fmean(starts) if starts else None,
        fmean(one.baseline for one in kinds),
        fmean(one.baseline_full_width for one in kinds),
    )


UNSEEN: Final[TypeAdapter[UnseenKinds]] = TypeAdapter(UnseenKinds)


def read_unseen(path: Path, manifest: Manifest) -> UnseenKinds:
    """Read the file that `nitamono ml unseen` wrote for the configuration and data of an artifact.

    Raises:
        UnreadableUnseen: it is damaged, or of another configuration or other data.
    """
    remedy = "write it again with `nitamono ml unseen`"
    try:
        found = UNSEEN.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UnreadableUnseen(f"{path}: {where}: {first['msg']}; {remedy}") from error
    except OSError as error:
        raise UnreadableUnseen(f"{path}: {error.strerror}; {remedy}") from error
    other = [
        name
        for name, value in found.settings.items()
        if name != "epochs" and manifest.training.get(name) != value
    ]
    if found.config != manifest.name or other:
        which = f"other settings ({', '.join(other)})" if other else f"the configuration {found.config}"
        raise UnreadableUnseen(f"{path}: measured with {which} than {manifest.encoder_id} has; {remedy}")
    if found.data_fingerprint != manifest.data_fingerprint:
        raise UnreadableUnseen(
            f"{path}: measured on data with the fingerprint {found.data_fingerprint}, and "
            f"{manifest.encoder_id} was trained on {manifest.data_fingerprint}; {remedy}"
        )
    return found
