"""Text that is shown in a limited space."""

from __future__ import annotations


def cut(text: str, most: int) -> str:
    """Return the text in at most so many characters: one that is longer ends in `…`."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def one_line(text: str, most: int) -> str:
    """Return the text as `cut` does, without line breaks and repeated spaces."""
    return cut(" ".join(text.split()), most)
