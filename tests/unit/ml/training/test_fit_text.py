"""The text tower on finished photo vectors."""

import copy

import numpy as np
import torch

from ml.configs.siglip_lite import SMOKE, SMOKE_TOWER
from ml.data.corpus import Corpus
from ml.data.tokenizer import tokenize
from ml.models.two_towers import Siglip
from ml.training.finetune import fit_tokenizer, train_captions
from ml.training.fit_text import fit_text


def test_captions_come_near_their_photos(corpus: Corpus) -> None:
    """Each photo's vector is that of its type; then the photo nearest to a title mostly has the title's type.

    The image tower does not change, and a second training gives the same.
    """
    rows = corpus.rows("train")
    types = [corpus.pairs[row].labels.type for row in rows]
    names = sorted(set(types))
    vectors = np.eye(SMOKE.dims, dtype=np.float32)[[names.index(name) for name in types]]
    tokenizer = fit_tokenizer(SMOKE_TOWER, train_captions(corpus))
    torch.manual_seed(3)
    model = Siglip(SMOKE_TOWER)
    before, again = copy.deepcopy(model.image.state_dict()), copy.deepcopy(model)
    fit_text(SMOKE, model, corpus, tokenizer, vectors)
    fit_text(SMOKE, again, corpus, tokenizer, vectors)

    test = corpus.rows("test")
    ids = torch.from_numpy(tokenize(tokenizer, [corpus.pairs[row].title for row in test]))
    with torch.no_grad():
        texts = model.text(ids)
        assert torch.equal(texts, again.text(ids))
    nearest = (texts.numpy() @ vectors.T).argmax(axis=1)
    right = [
        types[column] == corpus.pairs[row].labels.type for column, row in zip(nearest, test, strict=True)
    ]
    assert np.mean(right) >= 0.8
    assert all(torch.equal(before[name], value) for name, value in model.image.state_dict().items())
