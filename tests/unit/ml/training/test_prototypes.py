"""Label classes and their prototypes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from ml.data.corpus import Corpus
from ml.data.pairs import Labels
from ml.training.prototypes import INVERSE_TEMPERATURE, SMOOTHING, LabelClasses, Prototypes, label_classes


def test_classes_are_those_of_the_train_split(corpus: Corpus) -> None:
    """Three types; with gender as many; with colour twelve. A class that training never saw has no number."""
    classes = label_classes(corpus)
    assert [len(level) for level in classes.source_of] == [3, 3, 12]
    assert (classes.numbers >= 0).all()
    row = int(corpus.rows("test")[0])
    pairs = list(corpus.pairs)
    pairs[row] = replace(pairs[row], labels=Labels("Skirts", "Women", "Mauve"))
    assert label_classes(replace(corpus, pairs=tuple(pairs))).numbers[row].tolist()[2] == -1


def test_sources_have_classes_of_their_own(corpus: Corpus) -> None:
    """The same word in two catalogues may mean two things."""
    pairs = [replace(pair, source=f"shop{row % 2}") for row, pair in enumerate(corpus.pairs)]
    classes = label_classes(replace(corpus, pairs=tuple(pairs)))
    assert len(classes.source_of[0]) == 6
    assert classes.source_of[0].tolist() == [0, 0, 0, 1, 1, 1]
    rows = np.arange(len(pairs))
    assert torch.equal(classes.source_of[0][classes.numbers[rows, 0]], classes.sources[rows])


def test_photos_are_pulled_to_their_prototype_and_from_others_of_their_source() -> None:
    """The loss is the smoothed cross-entropy over the classes of the photo's source, and of no other."""
    torch.manual_seed(1)
    classes = LabelClasses(torch.tensor([[0], [2]]), torch.tensor([0, 1]), (torch.tensor([0, 0, 1, 1]),))
    prototypes = Prototypes(classes, 3)
    images = functional.normalize(torch.randn(2, 3), dim=-1)
    vectors = functional.normalize(prototypes.vectors[0], dim=-1)
    logits = INVERSE_TEMPERATURE * images @ vectors.T
    expected = (
        functional.cross_entropy(logits[:1, :2], torch.tensor([0]), label_smoothing=SMOOTHING)
        + functional.cross_entropy(logits[1:, 2:], torch.tensor([0]), label_smoothing=SMOOTHING)
    ) / 2
    loss = prototypes(images, classes.numbers, classes.sources)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    loss.backward()
    gradients = prototypes.vectors[0].grad
    assert gradients is not None
    assert gradients.abs().sum(dim=1).min() > 0


def test_a_missing_label_is_no_class(corpus: Corpus) -> None:
    """Where others of the source have one; a source without any is graded by the labels that it has."""
    pairs = list(corpus.pairs)
    row = int(corpus.rows("train")[0])
    pairs[row] = replace(pairs[row], labels=replace(pairs[row].labels, colour=""))
    classes = label_classes(replace(corpus, pairs=tuple(pairs)))
    assert classes.numbers[row].tolist()[2] == -1
    assert [len(level) for level in classes.source_of] == [3, 3, 12]
    plain = [replace(pair, labels=replace(pair.labels, colour="")) for pair in corpus.pairs]
    classes = label_classes(replace(corpus, pairs=tuple(plain)))
    assert torch.equal(classes.numbers[:, 2], classes.numbers[:, 1])


def test_photos_without_a_class_have_no_loss() -> None:
    """The others' is their mean; with none it is zero, and every prototype still has a gradient."""
    torch.manual_seed(1)
    classes = LabelClasses(torch.tensor([[0], [-1]]), torch.tensor([0, 0]), (torch.tensor([0, 0]),))
    prototypes = Prototypes(classes, 3)
    images = functional.normalize(torch.randn(2, 3), dim=-1)
    loss = prototypes(images, classes.numbers, classes.sources)
    assert loss.item() == pytest.approx(
        prototypes(images[:1], classes.numbers[:1], classes.sources[:1]).item()
    )
    nothing = prototypes(images[1:], classes.numbers[1:], classes.sources[1:])
    nothing.backward()
    assert nothing.item() == 0
    assert prototypes.vectors[0].grad is not None
