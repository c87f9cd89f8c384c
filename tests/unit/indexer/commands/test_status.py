"""The command that shows the status of items."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from indexer.commands.status import status_command


@pytest.mark.parametrize("item_id", ["", "a" * 257])
def test_an_id_that_no_item_can_have_is_refused(item_id: str) -> None:
    """Before anything is asked for."""
    refused = CliRunner().invoke(status_command, ["m1", item_id])

    assert refused.exit_code == 2
    assert f"found '{item_id}', expected an item id of 1 to 256 bytes" in refused.output
