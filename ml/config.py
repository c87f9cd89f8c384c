"""What a training run is made of: frozen settings, written whole into the run folder and the manifest."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TowerConfig:
    """Sizes of the two towers."""

    image_size: int = 128
    """Pixels of a side that the exported graph takes."""
    channels: tuple[int, ...] = (48, 96, 160, 256)
    """Maps of each residual block; the first is also the stem's."""
    width: int = 192
    """Of the shared space, before PCA."""
    vocabulary: int = 3000
    tokens: int = 20
    """Caption length; longer ones are cut."""
    text_width: int = 128
    text_heads: int = 4


@dataclass(frozen=True)
class FinetuneConfig:
    """One training run."""

    name: str
    base_model: str = "none: trained from scratch"
    tower: TowerConfig = TowerConfig()
    epochs: int = 30
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    warm_up: float = 0.05
    """Share of the run in which the learning rate rises."""
    repeats: int = 1
    """How often an epoch shows photos with a class but no title: more than 1 where they are few."""
    small_size: int = 96
    """Pixels of a side in the first part of the run, which costs 0.56 of the full size."""
    small_share: float = 0.4
    """Share of the run at small_size."""
    crop: float = 0.6
    """Smallest share of a photo's area that a crop keeps."""
    contrast: float = 0.15
    """Most by which brightness and contrast change, as a share."""
    distil_weight: float = 10.0
    """Of the cosine loss against a teacher's features, at the start. Unused without a teacher."""
    distil_end: float = 2.0
    """The same at the end; it changes linearly with progress."""
    ema: float = 0.999
    """Decay per step of the averaged weights that are exported."""
    dims: int = 128
    """Of the exported vector, after PCA."""
    gradient_norm: float = 10.0
    """Longer gradients are shortened to it."""
    seed: int = 7
