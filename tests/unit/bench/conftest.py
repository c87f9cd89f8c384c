"""The benchmarks measure the small trained encoder of the ml tests."""

from tests.unit.ml.conftest import artifact, corpus, run, shop

__all__ = ["artifact", "corpus", "run", "shop"]
