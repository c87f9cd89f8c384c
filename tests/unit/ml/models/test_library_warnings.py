"""Warnings of libraries are suppressed; errors are not."""

import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from ml.models.library_warnings import suppress_library_warnings


def test_only_errors_are_logged(caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder) -> None:
    """Of the named library and its submodules; afterwards levels are restored."""
    part, other = logging.getLogger("library.part"), logging.getLogger("other")
    level = logging.getLogger("library").level
    with suppress_library_warnings("library"):
        part.warning("a note")
        part.error("an error")
        other.warning("another's note")
        warnings.warn("deprecated", FutureWarning, stacklevel=1)
    part.warning("a later note")
    assert caplog.messages == ["an error", "another's note", "a later note"]
    assert not recwarn.list
    assert logging.getLogger("library").level == level


def test_the_level_is_restored_after_an_error() -> None:
    """Also if it was set explicitly."""
    logger = logging.getLogger("library")
    logger.setLevel(logging.INFO)
    with pytest.raises(ZeroDivisionError), suppress_library_warnings("library"):
        _ = 1 / 0
    assert logger.level == logging.INFO
    logger.setLevel(logging.NOTSET)


def test_an_export_prints_no_warnings(tmp_path: Path) -> None:
    """torch's exporter warns of each operation of torchvision that it cannot register."""
    code = (
        "import sys, numpy as np, torch\nfrom pathlib import Path\n"
        "from ml.export.export_run import write_graph\n"
        "class Unit(torch.nn.Module):\n"
        "    def forward(self, pixels): return torch.nn.functional.normalize(pixels.float(), dim=-1)\n"
        "write_graph(Unit().eval(), np.ones((4, 16), np.uint8), Path(sys.argv[1]))"
    )
    path = tmp_path / "graph.onnx"
    result = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert result.stdout + result.stderr == ""
    assert path.exists()
