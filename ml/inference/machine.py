"""Description of this machine."""

import platform
import sys
from pathlib import Path


def processor() -> str:
    """The processor's name; empty if the system does not report it."""
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        return names[0] if names else ""
    return platform.processor()
