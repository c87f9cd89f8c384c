"""The settings of a training run, saved in the run folder and in the artifact's manifest."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import JsonValue

from ml.artifact import Preprocessing
from ml.errors import MlError
from ml.models.tower_specs import HuggingFaceTower, Tower, TowerConfig


class InvalidConfig(MlError):
    """Settings that contradict each other."""


@dataclass(frozen=True)
class FinetuneConfig:
    """Configuration of a training run."""

    name: str
    base_model: str
    """The pretrained network that the run starts from, with its license."""
    tower: Tower
    epochs: int = 30
    """0: the network is exported as it comes."""
    batch: int = 64
    """Photos in a step, over all processes; the loss pairs each with the captions of all."""
    accumulate: int = 1
    """Parts in which a process runs its share of a batch, to save memory. The loss is still that of the whole
    batch: vectors are computed once without gradients and again, part by part, with gradients (GradCache,
    arXiv 2101.06983)."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the networks' matrix products; weights, loss and optimizer stay fp32. Layers that are not
    trained at all compute in bf16 on a CPU that has it."""
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
    network_rate: float = 1.0
    """Learning rate of the image network, which was trained before, as a share of learning_rate."""
    weight_decay: float = 0.1
    warm_up: float = 0.05
    """Share of the run in which the learning rate rises."""
    photo_size: int = 0
    """Pixels per side of stored training photos, so that crops are sharp; 0: the tower's image_size."""
    crop: float = 0.6
    """Smallest share of a photo's area in a random crop."""
    contrast: float = 0.15
    """Largest random change of brightness and contrast, as a share."""
    sigmoid_weight: float = 1.0
    """Weight of the loss on photos and captions. 0: the text tower is not trained, and the artifact encodes
    photos only."""
    prototype_weight: float = 0.0
    """Weight of the loss on photos and their labels: see ml/training/prototypes.py."""
    feature_weight: float = 0.0
    """Weight of the cosine loss between a photo's features and those of the network at the start of the run,
    which keeps what it knows of photos unlike the training photos."""
    ema: float = 0.999
    """Decay per step of the exponential moving average of the weights, which is exported."""
    dims: int = 128
    """Dimensions of the exported vector, after PCA."""
    gradient_norm: float = 10.0
    """Gradients of the training of both towers are clipped to this norm."""
    seed: int = 7

    @property
    def settings(self) -> dict[str, JsonValue]:
        """All settings as JSON, as manifests have them."""
        found: dict[str, JsonValue] = json.loads(json.dumps(asdict(self)))
        return found

    @property
    def preprocessing(self) -> Preprocessing:
        """The conversion of photos that the finished encoder expects."""
        return Preprocessing(image_size=self.tower.image_size, crop=self.tower.crop)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            InvalidConfig: one is out of range, or two contradict each other.
        """
        if isinstance(self.tower, TowerConfig) and (problem := self.tower.problem()):
            raise InvalidConfig(f"{self.name}: {problem}")
        if self.epochs and not self.sigmoid_weight and not self.prototype_weight:
            raise InvalidConfig(
                f"{self.name}: sigmoid_weight and prototype_weight are 0, so nothing is learned; set one, or "
                "epochs to 0"
            )
        for name, least in (("epochs", 0), ("batch", 1), ("accumulate", 1), ("dims", 1)):
            if getattr(self, name) < least:
                raise InvalidConfig(f"{self.name}: {name} is {getattr(self, name)}, expected {least} or more")
        if isinstance(self.tower, TowerConfig) and self.sigmoid_weight and self.dims != self.tower.head_width:
            raise InvalidConfig(
                f"{self.name}: dims is {self.dims}, and head_width of the tower {self.tower.head_width}; set "
                "both to the same: captions are compared with the head first, then with finished vectors"
            )
        if self.dims > self.tower.width:
            raise InvalidConfig(
                f"{self.name}: dims is {self.dims}, expected at most the tower's {self.tower.width}"
            )
        if self.accumulate > 1 and isinstance(self.tower, TowerConfig) and self.tower.dropout:
            raise InvalidConfig(
                f"{self.name}: accumulate is {self.accumulate}, which runs the head twice, and its dropout "
                f"({self.tower.dropout}) would differ; set accumulate to 1, or dropout to 0"
            )
        if self.checkpointing and not isinstance(self.tower, HuggingFaceTower):
            raise InvalidConfig(f"{self.name}: checkpointing needs a HuggingFaceTower; set it to False")
        if len(set(self.frozen)) == 2:
            raise InvalidConfig(
                f"{self.name}: both towers are frozen, so nothing is trained; remove one from frozen"
            )
