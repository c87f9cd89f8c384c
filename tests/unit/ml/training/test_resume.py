"""Runs that are killed or fail, and are resumed."""

import json
import math
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

import ml.training.finetune
from ml.artifact import CHECKPOINT
from ml.atomic_files import NotWritten
from ml.configs.siglip_lite import SMOKE
from ml.data.corpus import Corpus
from ml.models.two_towers import Siglip
from ml.training.batches import Batch
from ml.training.config import FinetuneConfig
from ml.training.distributed import Processes
from ml.training.finetune import RunExists, RunOptions, TrainingDiverged, finetune
from ml.training.learner import Learner
from ml.training.prototypes import label_classes
from ml.training.read_corpus import read_corpus
from ml.training.run_folder import CURVES, DATA, ENVIRONMENT, LOG, STATE
from ml.training.training_state import StateMismatch
from tests.unit.ml.conftest import make_event, write_listings

CONFIG = replace(SMOKE, epochs=3, state_steps=4)

KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
import torch
import ml.training.finetune, ml.training.training_state
from ml.configs.siglip_lite import SMOKE
from ml.training.learner import Learner
from ml.training.read_corpus import read_corpus

shop, out, at, writing = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "writing"
learn, save = Learner.learn, torch.save

def learn_or_die(self, batch, step, progress):
    if step == at and not writing:
        os.kill(os.getpid(), signal.SIGKILL)
    return learn(self, batch, step, progress)

def half_a_state(state, file):
    if writing and state["run_state"]["step"] == at:
        file.write(b"half a state")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    save(state, file)

Learner.learn, torch.save = learn_or_die, half_a_state
corpus = read_corpus([shop], SMOKE.tower.image_size, crop=SMOKE.tower.crop)
ml.training.finetune.finetune(replace(SMOKE, epochs=3, state_steps=4), corpus, out)
"""


def kill_a_run(shop: Path, out: Path, step: int, when: str) -> None:
    """Train in a subprocess that gets SIGKILL at a step, or while it writes its state."""
    command = [sys.executable, "-c", KILLED, str(shop), str(out), str(step), when]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def unbroken(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    out = tmp_path_factory.mktemp("unbroken")
    finetune(CONFIG, corpus, out)
    return out


def losses(run: Path) -> list[list[str]]:
    """Epoch, step and loss columns of the log."""
    return [
        [cell for at, cell in enumerate(line.split(",")) if at in {0, 1, 3, 7}]
        for line in (run / LOG).read_text().splitlines()
    ]


@pytest.mark.parametrize(
    ("step", "when"),
    [
        pytest.param(2, "learning", marks=pytest.mark.soak),
        (14, "learning"),
        pytest.param(12, "writing", marks=pytest.mark.soak),
    ],
)
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(
    unbroken: Path, shop: Path, corpus: Corpus, tmp_path: Path, step: int, when: str
) -> None:
    """Killed before its first state, between two states or while writing one: same bytes and log."""
    kill_a_run(shop, tmp_path, step, when)
    assert (tmp_path / STATE).exists() == (step > 4)
    finetune(CONFIG, corpus, tmp_path, RunOptions(resume=True))
    assert (tmp_path / CHECKPOINT).read_bytes() == (unbroken / CHECKPOINT).read_bytes()
    assert losses(tmp_path) == losses(unbroken)


def test_resuming_a_finished_run_changes_nothing(unbroken: Path, corpus: Corpus) -> None:
    """No step is left."""
    before = (unbroken / CHECKPOINT).read_bytes()
    finetune(CONFIG, corpus, unbroken, RunOptions(resume=True))
    assert (unbroken / CHECKPOINT).read_bytes() == before


def test_a_run_folder_has_curves_data_and_environment(unbroken: Path, corpus: Corpus) -> None:
    """A PNG, the fingerprint of the data, and versions without personal data."""
    assert (unbroken / CURVES).read_bytes().startswith(b"\x89PNG")
    assert json.loads((unbroken / DATA).read_text())["fingerprint"] == corpus.fingerprint
    environment = json.loads((unbroken / ENVIRONMENT).read_text())
    assert environment["packages"]["torch"]
    assert str(Path.home()) not in (unbroken / ENVIRONMENT).read_text()


def resumed_with(config: FinetuneConfig, corpus: Corpus, unbroken: Path, out: Path) -> None:
    """Resume a copy of the finished run with other arguments."""
    (out / STATE).write_bytes((unbroken / STATE).read_bytes())
    finetune(config, corpus, out, RunOptions(resume=True))


def test_another_configuration_or_data_is_rejected(unbroken: Path, corpus: Corpus, tmp_path: Path) -> None:
    """The message has what differs."""
    with pytest.raises(StateMismatch, match=r"state\.pt: .* with different weight_decay; resume"):
        resumed_with(replace(CONFIG, weight_decay=0.5), corpus, unbroken, tmp_path)
    part = corpus.part(np.arange(len(corpus.pairs) - 1))
    with pytest.raises(StateMismatch, match=r"different data; resume with the same"):
        resumed_with(CONFIG, part, unbroken, tmp_path)


def test_a_rejected_command_changes_nothing(unbroken: Path, corpus: Corpus, tmp_path: Path) -> None:
    """Neither a rejected resumption nor a second run changes the folder of the first."""
    run = Path(shutil.copytree(unbroken, tmp_path / "run"))
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(StateMismatch):
        finetune(replace(CONFIG, batch=4), corpus, run, RunOptions(resume=True))
    with pytest.raises(
        RunExists, match=r"run: already has a run; continue it with --resume, or choose another --out"
    ):
        finetune(CONFIG, corpus, run)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_damaged_state_is_rejected(corpus: Corpus, tmp_path: Path) -> None:
    """The message has the file and the remedy."""
    (tmp_path / STATE).write_bytes(b"half a state")
    with pytest.raises(StateMismatch, match=r"state\.pt: .*train without --resume"):
        finetune(CONFIG, corpus, tmp_path, RunOptions(resume=True))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to fill a disk with")
@pytest.mark.parametrize("name", [STATE, CHECKPOINT, LOG])
def test_a_run_resumes_after_a_full_disk(
    unbroken: Path, corpus: Corpus, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has the file and the remedy, which then works."""
    unfinished = tmp_path / f"{name}.partial"
    unfinished.symlink_to("/dev/full")
    with pytest.raises(NotWritten, match=rf"{name}: cannot be written.*free disk space.*--resume"):
        finetune(CONFIG, corpus, tmp_path)
    unfinished.unlink(missing_ok=True)
    finetune(CONFIG, corpus, tmp_path, RunOptions(resume=True))
    assert (tmp_path / CHECKPOINT).read_bytes() == (unbroken / CHECKPOINT).read_bytes()


def test_a_run_that_diverged_resumes(
    unbroken: Path, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of one step is NaN; the state before it is valid."""
    learn = Learner.learn

    def learn_badly(self: Learner, batch: Batch, step: int, progress: float) -> tuple[float, float]:
        return (float("nan"), 0.0) if step == 6 else learn(self, batch, step, progress)

    monkeypatch.setattr(Learner, "learn", learn_badly)
    with pytest.raises(TrainingDiverged, match=r"is nan at step 6; .*--resume"):
        finetune(CONFIG, corpus, tmp_path)
    monkeypatch.undo()
    finetune(CONFIG, corpus, tmp_path, RunOptions(resume=True))
    assert (tmp_path / CHECKPOINT).read_bytes() == (unbroken / CHECKPOINT).read_bytes()


def test_nan_weights_do_not_replace_a_valid_state(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run could not resume from a state with a NaN weight or statistic."""
    learner = Learner(SMOKE, Siglip(SMOKE.tower), label_classes(corpus), Processes())
    assert learner.is_finite()
    next(learner.model.buffers()).fill_(torch.inf)
    assert not learner.is_finite()
    monkeypatch.setattr(Learner, "is_finite", lambda _: False)
    finetune(replace(CONFIG, epochs=1), corpus, tmp_path)
    assert not (tmp_path / STATE).exists()


def test_nan_gradients_do_not_change_the_weights(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step is skipped."""
    learner = Learner(SMOKE, Siglip(SMOKE.tower), label_classes(corpus), Processes())
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}

    def differentiate(_self: Learner, _batch: Batch) -> torch.Tensor:
        for value in learner.model.parameters():
            value.grad = torch.full_like(value, torch.nan)
        return torch.zeros(2)

    monkeypatch.setattr(Learner, "differentiate", differentiate)
    assert math.isnan(learner.learn(cast("Batch", None), 0, 0.5)[0])
    assert all(torch.equal(value, before[name]) for name, value in learner.model.state_dict().items())


def test_undecodable_photos_are_counted(shop: Path, tmp_path: Path) -> None:
    """The run trains on the others, and its folder has the counts by reason."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "other1.png").write_bytes(b"<html>404</html>")
    broken = write_listings(tmp_path, [make_event("other1"), make_event("other2")])
    corpus = read_corpus([shop, broken], SMOKE.tower.image_size)
    finetune(replace(SMOKE, epochs=1), corpus, tmp_path / "run")
    dropped = json.loads((tmp_path / "run" / DATA).read_text())["dropped"]
    assert dropped == {"photo_not_an_image": 1, "photo_unreadable": 1}


def test_a_run_stops_if_validation_does_not_improve(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second epoch is the best; two later the run stops with its weights, also if resumed."""
    scores = iter([0.5, 0.6, 0.55, 0.58, 0.9])
    kept: list[bytes] = []

    def validated(*_: object) -> dict[str, float]:
        if (tmp_path / CHECKPOINT).exists():
            kept.append((tmp_path / CHECKPOINT).read_bytes())
        return {"shop": next(scores)}

    monkeypatch.setattr(ml.training.finetune, "validation_scores", validated)
    finetune(replace(SMOKE, epochs=9, patience=2), corpus, tmp_path)
    assert len((tmp_path / LOG).read_text().splitlines()) == 1 + 4
    assert kept[0] != kept[1] == (tmp_path / CHECKPOINT).read_bytes()
    finetune(replace(SMOKE, epochs=9, patience=2), corpus, tmp_path, RunOptions(resume=True))
    assert next(scores) == 0.9
