"""What each type of item looks like, before colour.

Each public function of the modules here draws the type of its name. It takes `form`, three numbers in 0..1
that vary the cut, and returns marks as text that `demo.marketplace.shapes` reads.
"""

from collections.abc import Callable
from types import FunctionType

from demo.marketplace.shapes import Form
from demo.marketplace.silhouettes import apparel, carried, electronics, home, play

SILHOUETTES: dict[str, Callable[[Form], str]] = {
    name.replace("_", " "): function
    for module in (apparel, carried, electronics, home, play)
    for name, function in vars(module).items()
    if isinstance(function, FunctionType) and function.__module__ == module.__name__ and name[0] != "_"
}
