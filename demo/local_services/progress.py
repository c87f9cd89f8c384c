"""Progress lines: one for every step, updated while it lasts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

QUIET_SECONDS = 2.0  # before the first line of a step where the output is no terminal
LINE_SECONDS = 15.0  # between two such lines


class Step:
    """A step in progress."""

    def __init__(self, title: str, stream: TextIO, clock: Callable[[], float]) -> None:
        self._title, self._stream, self._clock = title, stream, clock
        self._live = stream.isatty()
        self._began = clock()
        self._next_line = self._began + (0.2 if self._live else QUIET_SECONDS)
        self._open_line = False
        self._result = f"{title}: done"

    def tick(self, detail: str = "") -> None:
        """Show the seconds so far and `detail`, at most every few seconds."""
        now = self._clock()
        if now < self._next_line:
            return
        self._next_line = now + (0.2 if self._live else LINE_SECONDS)
        self._write(f"{self._title} … {now - self._began:.0f} s {detail}".rstrip(), keep=not self._live)

    def result(self, text: str) -> None:
        """Set the closing line."""
        self._result = text

    def close(self) -> None:
        """Write the closing line: the result, and the seconds if the step took any."""
        seconds = self._clock() - self._began
        took = f" ({seconds:.0f} s)" if seconds >= 1 else ""
        self._write(f"{self._result}{took}", keep=True)

    def abandon(self) -> None:
        """End an open line, so that an error starts on a new one."""
        if self._open_line:
            self._stream.write("\n")
            self._stream.flush()

    def _write(self, line: str, *, keep: bool) -> None:
        start = "\r\x1b[K" if self._open_line else ""
        self._stream.write(f"{start}{line}" + ("\n" if keep else ""))
        self._stream.flush()
        self._open_line = not keep


class Progress:
    """Writes steps to a stream; on a terminal each step is one line that counts the seconds."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock

    def say(self, line: str) -> None:
        """Write one line."""
        self._stream.write(f"{line}\n")
        self._stream.flush()

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show `title` while the block runs, then its result."""
        step = Step(title, self._stream, self._clock)
        try:
            yield step
        except BaseException:
            step.abandon()
            raise
        step.close()


def run_showing(
    command: Sequence[str | Path], step: Step, *, folder: Path, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run `command` while `step` counts the seconds; return its exit status and what it printed."""
    with (folder / "command-output").open("w+", errors="replace") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while process.poll() is None:
                time.sleep(0.1)
                step.tick()
        finally:
            process.kill()  # only if this was interrupted: it has ended otherwise
            process.wait()
        output.seek(0)
        return process.returncode, output.read()
