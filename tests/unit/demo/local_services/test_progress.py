"""The lines that show what is being done."""

from __future__ import annotations

import io
import sys

import pytest

from demo.local_services.progress import Progress, run_showing


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_quick_step_is_one_line():
    """A step under two seconds writes its result and nothing else."""
    stream, clock = io.StringIO(), Clock()
    with Progress(stream, clock).step("Starting Redis") as step:
        clock.now = 0.5
        step.tick()
        step.result("Redis is ready")
    assert stream.getvalue() == "Redis is ready\n"


def test_a_long_step_reports_progress():
    """In a log file a sign comes after two seconds and then each quarter of a minute."""
    stream, clock = io.StringIO(), Clock()
    with Progress(stream, clock).step("Fetching") as step:
        for clock.now in (1.0, 2.0, 3.0, 16.0, 17.0, 18.0):
            step.tick("5 of 9 MB")
    assert stream.getvalue().splitlines() == [
        "Fetching … 2 s 5 of 9 MB",
        "Fetching … 17 s 5 of 9 MB",
        "Fetching: done (18 s)",
    ]


def test_on_a_terminal_the_line_is_overwritten():
    """On a terminal the seconds count in place, and the result replaces them."""
    stream, clock = Terminal(), Clock()
    with Progress(stream, clock).step("Fetching") as step:
        for clock.now in (0.1, 0.3, 0.6):
            step.tick()
    assert stream.getvalue() == "Fetching … 0 s\r\x1b[KFetching … 1 s\r\x1b[KFetching: done\n"


def test_an_error_starts_on_a_new_line():
    """A step that fails leaves no half line for the message to stick to."""
    stream, clock = Terminal(), Clock()

    def fail() -> None:
        with Progress(stream, clock).step("Fetching") as step:
            clock.now = 3.0
            step.tick()
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert stream.getvalue() == "Fetching … 3 s\n"


def test_the_output_of_a_command_is_returned(tmp_path):
    """The exit status and all that the command printed come back, the step counts while it runs."""
    stream = io.StringIO()
    with Progress(stream).step("Working") as step:
        code = "import sys, time; print('out'); print('err', file=sys.stderr); time.sleep(2.3); sys.exit(3)"
        status, output = run_showing([sys.executable, "-u", "-c", code], step, folder=tmp_path)
    assert (status, output.split()) == (3, ["out", "err"])
    assert stream.getvalue().startswith("Working … 2 s\n")
