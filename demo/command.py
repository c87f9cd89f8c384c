"""`nitamono` as a process of its own, with its output on the same terminal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence


def succeeds(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Run `nitamono` with these arguments in that environment, and return whether it ended well."""
    command = [sys.executable, "-c", "import cli; cli.main()", *arguments]
    return subprocess.run(command, env=environment, check=False).returncode == 0
