"""What a training run is made of: frozen settings, written whole into the run folder and the manifest."""

from dataclasses import dataclass
from typing import Literal

from ml.errors import MlError
from ml.models.tower_specs import HuggingFaceTower, Tower, TowerConfig


class UnfitConfig(MlError):
    """Settings that contradict each other."""


@dataclass(frozen=True)
class FinetuneConfig:
    """One training run."""

    name: str
    base_model: str = "none: trained from scratch"
    tower: Tower = TowerConfig()  # noqa: RUF009  it is frozen
    epochs: int = 30
    batch: int = 64
    """Photos of a step, over all processes; each is paired with the captions of all."""
    accumulate: int = 1
    """Parts in which a process takes its share of a batch through the network, to need less memory. The loss
    is still that of the whole batch: vectors are made once without gradients, and again part by part with
    them (arXiv 2101.06983). Batch norm, which only our own towers have, sees one part at a time."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the networks' products; weights, loss and optimizer stay fp32."""
    checkpointing: bool = False
    """Compute activations again instead of keeping them: less memory, a third slower. Hub towers only."""
    frozen: tuple[Literal["image", "text"], ...] = ()
    """Towers that are not trained."""
    layer_decay: float = 1.0
    """The learning rate of each layer as a share of that of the layer above it."""
    patience: int = 0
    """Epochs without a better mean validation nDCG@5 after which to stop, keeping the best; 0: go on to the
    end and keep the last."""
    state_steps: int = 500
    """Steps between two writes of the state that --resume goes on from; one more at each epoch's end."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    warm_up: float = 0.05
    """Share of the run in which the learning rate rises."""
    repeats: int = 1
    """How often an epoch shows photos with a class but no title: more than 1 where they are few."""
    photo_size: int = 0
    """Pixels of a side that training photos are kept at, for crops to be sharp; 0: the tower's image_size."""
    small_size: int = 96
    """Pixels of a side of the views in the first part of the run, which costs less than the full size."""
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
    sigmoid_weight: float = 1.0
    """Of the loss on photos and captions, beside what a teacher adds. 0: the text tower learns nothing, and
    the artifact takes photos alone."""
    taught_features: bool = False
    """Whether --teacher also teaches vectors: the principal components of its features."""
    taught_weight: float = 12.0
    """Of the cosine loss against taught vectors. Unused where a lesson has none."""
    relation_weight: float = 10.0
    """Of the mean square by which cosines between photos of a batch differ from those taught."""
    ema: float = 0.999
    """Decay per step of the averaged weights that are exported."""
    dims: int = 128
    """Of the exported vector, after PCA."""
    gradient_norm: float = 10.0
    """Longer gradients are shortened to it."""
    seed: int = 7

    def __post_init__(self) -> None:
        """Raises:
        UnfitConfig: settings that contradict each other.
        """
        for name in ("epochs", "batch", "accumulate", "dims", "repeats"):
            if getattr(self, name) < 1:
                raise UnfitConfig(f"{self.name}: {name} is {getattr(self, name)}, expected 1 or more")
        if self.dims > self.tower.width:
            raise UnfitConfig(f"{self.name}: {self.dims} dims after PCA of a width of {self.tower.width}")
        if self.checkpointing and not isinstance(self.tower, HuggingFaceTower):
            raise UnfitConfig(f"{self.name}: checkpointing is for hub towers; leave it off for our own")
        if len(set(self.frozen)) == 2:
            raise UnfitConfig(f"{self.name}: both towers are frozen, so nothing is trained; free one")
