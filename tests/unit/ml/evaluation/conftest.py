"""A comparison that reports and cards are made from."""

from dataclasses import replace

import pytest

from ml.artifact import EncoderArtifact
from ml.data.corpus import Corpus
from ml.evaluation.comparison import Comparison, Task, comparisons
from ml.evaluation.evaluated_encoders import EvaluatedEncoders

RISKY = '<script>alert("1")</script> | 専用'


@pytest.fixture(scope="session")
def comparison(artifact: EncoderArtifact, corpus: Corpus) -> Comparison:
    """All splits of the shop; the first title contains markup."""
    pairs = (replace(corpus.pairs[0], title=RISKY), *corpus.pairs[1:])
    (measured,) = comparisons(
        replace(corpus, pairs=pairs), EvaluatedEncoders((artifact,), {}), Task("all", baseline="random")
    )
    return measured
