"""The state from which an interrupted run resumes. Imports torch."""

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
from ml.training.learner import Learner
from ml.training.run_folder import STATE, Line


class StateMismatch(MlError):
    """A saved state that is damaged, or of another configuration or other data."""


@dataclass
class RunState:
    """The progress of a run. It and the seed determine all later draws: see ml/training/batches.py."""

    epoch: int = 0
    step: int = 0
    epoch_steps: int = 0
    """Steps of this epoch taken so far."""
    seconds: float = 0.0
    """Training time so far, over all interruptions."""
    losses: list[tuple[float, float]] = field(default_factory=list)
    """Sigmoid loss and loss on single photos of each step of this epoch."""
    log: list[Line] = field(default_factory=list)
    best: float = -1.0
    """Highest mean validation nDCG@5 so far."""
    epochs_since_best: int = 0


def save_state(learner: Learner, run_state: RunState, identity: Mapping[str, str], out: Path) -> None:
    """Write the state atomically: after a crash the file has the old state or the new one.

    Raises:
        NotWritten: the disk is full; the old state is kept.
    """
    state = {
        "identity": dict(identity),
        "run_state": asdict(run_state),
        "objective": learner.objective.state_dict(),
        "average": learner.average.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
    }
    with run_file(out / STATE) as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            # torch's archive writer raises its own error instead of the system's.
            raise OSError(errno.EIO, str(error).splitlines()[0]) from error


def load_state(learner: Learner, identity: Mapping[str, str], out: Path) -> RunState:
    """Restore a learner from the run in `out`; return its progress, or the start if no state was saved yet.

    Raises:
        StateMismatch: the state is damaged, or of another configuration or other data.
    """
    path = out / STATE
    if not path.exists():
        return RunState()
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise StateMismatch(f"{path}: {error}; train without --resume, into another folder") from error
    changed = sorted(name for name, value in identity.items() if state["identity"].get(name) != value)
    if changed:
        raise StateMismatch(
            f"{path}: the run was started with different {', '.join(changed)}; resume with the same "
            "configuration and data, or train into another folder"
        )
    learner.objective.load_state_dict(state["objective"])
    learner.average.load_state_dict(state["average"])
    learner.optimizer.load_state_dict(state["optimizer"])
    return RunState(**state["run_state"])


def run_identity(config: FinetuneConfig, fingerprint: str) -> dict[str, str]:
    """Settings that must be the same when a run resumes. fingerprint: of the corpus.

    The interval between saved states may change, and so may the learning rate, which is lowered after a
    divergence.
    """
    settings = {name: repr(value) for name, value in asdict(config).items()}
    del settings["state_steps"], settings["learning_rate"]
    return settings | {"data": fingerprint}
