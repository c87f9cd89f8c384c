"""The encoder that an index stores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mappings.identity import EncoderIdentity
from settings.errors import InvalidSetting


def test_identity_is_read_from_a_manifest(tmp_path: Path) -> None:
    """Other fields of the manifest are ignored."""
    manifest = {"encoder_id": "e-1", "dims": 8, "similarity": {"mean": 0.5, "spread": 0.2}, "more": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert EncoderIdentity.from_artifact(tmp_path) == EncoderIdentity("e-1", 8, 0.5, 0.2)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"encoder_id": "e"}'])
def test_folder_without_a_readable_manifest_is_refused(tmp_path: Path, text: str | None) -> None:
    """The message names the folder and the variable to set."""
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InvalidSetting, match="NITAMONO_ENCODER_DIR must name a folder"):
        EncoderIdentity.from_artifact(tmp_path)
