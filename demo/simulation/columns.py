"""Arrays of equal length, side by side: a row for each visit, slate or act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Seconds = NDArray[np.float64]

NOTHING: Final = -1
"""In place of a row where there is none: a slate may have fewer items than positions."""


@dataclass(frozen=True)
class Columns:
    """A table whose fields are its columns, arrays of one length."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(iter(vars(self).values())))

    def take(self, chosen: Rows | Flags | slice) -> Self:
        """Return the chosen rows."""
        return type(self)(**{name: column[chosen] for name, column in vars(self).items()})

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of one or more tables, one after another."""
        names = vars(parts[0])
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
