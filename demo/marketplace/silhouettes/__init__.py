"""What each type of item looks like, before colour: the drawings in the text files of this folder.

A drawing is a Jinja template under a line `[NAME] DESCRIPTION`: lines that begin with `%` are statements, and
expressions stand in braces. Its variables `a`, `b` and `c` are numbers in 0..1 that vary the cut. It renders
to the marks that `demo.marketplace.shapes` reads.
"""

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from demo.marketplace.shapes import Form, hour_marks

HEADING = re.compile(r"^\[(.+)\] .+\n", re.MULTILINE)
ENVIRONMENT = Environment(
    variable_start_string="{",
    variable_end_string="}",
    line_statement_prefix="%",
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - drawings, not HTML
)
ENVIRONMENT.globals |= {"hour_marks": hour_marks, "int": int, "zip": zip}


def silhouette(name: str, form: Form) -> str:
    """Return the marks of the type `name` in this cut, as text."""
    a, b, c = form
    return drawings()[name].render(a=a, b=b, c=c)


@cache
def drawings() -> dict[str, Template]:
    """Return the drawing of each type by its name."""
    text = "".join(file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("*.txt")))
    _, *parts = HEADING.split(text)
    return {name: ENVIRONMENT.from_string(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}
