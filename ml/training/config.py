"""The settings of a training run, saved in the run folder and in the artifact's manifest."""

from dataclasses import dataclass
from typing import Literal

from ml.errors import MlError
from ml.models.tower_specs import HuggingFaceTower, Tower, TowerConfig


class InvalidConfig(MlError):
    """Settings that contradict each other."""


@dataclass(frozen=True)
class FinetuneConfig:
    """Configuration of a training run."""

    name: str
    base_model: str = "none: trained from scratch"
    tower: Tower = TowerConfig()  # noqa: RUF009  it is frozen
    epochs: int = 30
    batch: int = 64
    """Photos in a step, over all processes; the loss pairs each with the captions of all."""
    accumulate: int = 1
    """Parts in which a process runs its share of a batch, to save memory. The loss is still that of the whole
    batch: vectors are computed once without gradients and again, part by part, with gradients (GradCache,
    arXiv 2101.06983). Batch norm, which only TowerConfig's networks have, sees one part at a time."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the networks' matrix products; weights, loss and optimizer stay fp32."""
    checkpointing: bool = False
    """Gradient checkpointing: less memory, a third slower. For a HuggingFaceTower only."""
    frozen: tuple[Literal["image", "text"], ...] = ()
    """Towers that are not trained."""
    layer_decay: float = 1.0
    """Learning rate of each layer divided by that of the layer above it."""
    patience: int = 0
    """Stop after this many epochs without a better mean validation nDCG@5, and keep the best checkpoint.
    0: train to the end and keep the last one."""
    state_steps: int = 500
    """Steps between saved states for --resume; the state is also saved after each epoch."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    warm_up: float = 0.05
    """Share of the run in which the learning rate rises."""
    repeats: int = 1
    """How often an epoch repeats photos that have a class but no title; above 1 if there are few of them."""
    photo_size: int = 0
    """Pixels per side of stored training photos, so that crops are sharp; 0: the tower's image_size."""
    small_size: int = 96
    """Pixels per side of the views in the first part of the run, which is cheaper than the full size."""
    small_share: float = 0.4
    """Share of the run at small_size."""
    crop: float = 0.6
    """Smallest share of a photo's area in a random crop."""
    contrast: float = 0.15
    """Largest random change of brightness and contrast, as a share."""
    feature_weight: float = 10.0
    """Weight of the cosine loss against a teacher's features at the start. Unused without a teacher."""
    feature_weight_end: float = 2.0
    """The same weight at the end; it changes linearly with progress."""
    sigmoid_weight: float = 1.0
    """Weight of the loss on photos and captions. 0: the text tower is not trained, and the artifact encodes
    photos only."""
    distill_projected_features: bool = False
    """Whether --teacher also gives target vectors: its features projected by PCA to the tower's width."""
    vector_weight: float = 12.0
    """Weight of the cosine loss against target vectors. Unused without them."""
    relation_weight: float = 10.0
    """Weight of the mean squared difference between cosines of photos and of their target vectors."""
    ema: float = 0.999
    """Decay per step of the exponential moving average of the weights, which is exported."""
    dims: int = 128
    """Dimensions of the exported vector, after PCA."""
    gradient_norm: float = 10.0
    """Gradients are clipped to this norm."""
    seed: int = 7

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            InvalidConfig: one is out of range, or two contradict each other.
        """
        for name in ("epochs", "batch", "accumulate", "dims", "repeats"):
            if getattr(self, name) < 1:
                raise InvalidConfig(f"{self.name}: {name} is {getattr(self, name)}, expected 1 or more")
        if self.dims > self.tower.width:
            raise InvalidConfig(
                f"{self.name}: dims is {self.dims}, expected at most the tower's {self.tower.width}"
            )
        if self.checkpointing and not isinstance(self.tower, HuggingFaceTower):
            raise InvalidConfig(f"{self.name}: checkpointing needs a HuggingFaceTower; set it to False")
        if len(set(self.frozen)) == 2:
            raise InvalidConfig(
                f"{self.name}: both towers are frozen, so nothing is trained; remove one from frozen"
            )
