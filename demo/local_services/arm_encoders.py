"""Encoders of experiments' arms: each prefix that an arm reads has its own index and worker."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from demo.local_services.errors import NoSuchEncoder
from settings.services_file import REPOSITORY

ARTIFACTS = REPOSITORY / "ml" / "artifacts"


@dataclass(frozen=True)
class ArmEncoder:
    """An encoder of an arm, in addition to the deployment's own."""

    prefix: str
    artifact: Path

    @property
    def worker(self) -> str:
        """The name of its worker."""
        return f"worker-{self.prefix}"

    def environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """Return the environment `own` with this encoder's index and queue."""
        return {**own, "NITAMONO_INDEX_PREFIX": self.prefix, "NITAMONO_ENCODER_DIR": str(self.artifact)}


def arm_encoders(experiments: Path, artifacts: Path = ARTIFACTS) -> tuple[ArmEncoder, ...]:
    """Return an encoder for each prefix that an enabled experiment of the folder `experiments` reads.

    Raises NoSuchEncoder, and InvalidDefinition where a file is no experiment.
    """
    if not any(experiments.glob("*.toml")):
        return ()
    # pydantic: most machines run no experiment, and a second `up` should be quick.
    from experiments.assignment.definition import read_experiments  # noqa: PLC0415

    enabled = (experiment for experiment in read_experiments(experiments) if experiment.enabled)
    named: dict[str, str | None] = {}
    for arm in (arm for experiment in enabled for arm in experiment.arms):
        if arm.prefix:  # which another experiment may read too, without naming the encoder
            named[arm.prefix] = arm.encoder or named.get(arm.prefix)
    return tuple(
        ArmEncoder(prefix, artifact_of(encoder, prefix, artifacts)) for prefix, encoder in named.items()
    )


def artifact_of(encoder: str | None, prefix: str, artifacts: Path) -> Path:
    """Return the folder of the artifact with that encoder_id. Raises NoSuchEncoder."""
    known = dict(encoder_ids(artifacts))
    if encoder not in known:
        raise NoSuchEncoder(prefix, encoder or "(none named)", artifacts, ", ".join(sorted(known)) or "none")
    return known[encoder]


def encoder_ids(artifacts: Path) -> Iterator[tuple[str, Path]]:
    """Yield the encoder_id and the folder of each artifact in a folder."""
    for manifest in sorted(artifacts.glob("*/manifest.json")):
        yield json.loads(manifest.read_bytes())["encoder_id"], manifest.parent
