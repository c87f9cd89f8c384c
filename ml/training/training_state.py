"""Everything that an interrupted run needs to go on as if it had not been. Imports torch."""

import errno
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ml.errors import MlError
from ml.models.checkpoint import run_file
from ml.training.config import FinetuneConfig
from ml.training.distillation_targets import Lesson
from ml.training.learner import Learner
from ml.training.run_folder import STATE, Line


class UnfitState(MlError):
    """A state that the run asked for cannot go on from."""


@dataclass
class Position:
    """Where a run is. Orders, views and captions follow from it and the seed: see ml/training/batches.py."""

    epoch: int = 0
    step: int = 0
    done: int = 0
    """Steps of this epoch that are done."""
    seconds: float = 0.0
    """That the run has taken, over all its parts."""
    losses: list[tuple[float, float]] = field(default_factory=list)
    """Of this epoch's steps."""
    log: list[Line] = field(default_factory=list)
    best: float = -1.0
    """Highest mean validation nDCG@5 so far."""
    waited: int = 0
    """Epochs since then."""


def save_state(learner: Learner, position: Position, made_with: Mapping[str, str], out: Path) -> None:
    """Write the state; whoever reads it, or pulls the plug, finds the old one or the new one.

    Raises:
        NotWritten: there is no room; the old state is kept.
    """
    state = {
        "made_with": dict(made_with),
        "position": asdict(position),
        "objective": learner.objective.state_dict(),
        "average": learner.average.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }
    with run_file(out / STATE) as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            # torch's archive writer hides the system's error behind its own.
            raise OSError(errno.EIO, str(error).splitlines()[0]) from error


def load_state(learner: Learner, made_with: Mapping[str, str], out: Path) -> Position:
    """Bring a learner to where the run in `out` was; the start, if the run had not got as far as a state.

    Raises:
        UnfitState: the state is damaged, or of another configuration or other data.
    """
    path = out / STATE
    if not path.exists():
        return Position()
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise UnfitState(f"{path}: {error}; train without --resume, into another folder") from error
    unlike = sorted(name for name, value in made_with.items() if state["made_with"].get(name) != value)
    if unlike:
        raise UnfitState(
            f"{path}: the run was made with another {', '.join(unlike)}; resume with the same configuration, "
            "data and lesson, or train into another folder"
        )
    learner.objective.load_state_dict(state["objective"])
    learner.average.load_state_dict(state["average"])
    learner.optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    if state["random_cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["random_cuda"])
    return Position(**state["position"])


def made_of(config: FinetuneConfig, fingerprint: str, lesson: Lesson | None) -> dict[str, str]:
    """What must not change between the parts of a run. fingerprint: of the corpus.

    How often the state is written may, and the learning rate, which one lowers when a run diverged.
    """
    settings = {name: repr(value) for name, value in asdict(config).items()}
    del settings["state_steps"], settings["learning_rate"]
    return settings | {"data": fingerprint, "lesson": "none" if lesson is None else lesson.fingerprint}
