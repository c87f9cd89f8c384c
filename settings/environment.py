"""Settings classes: frozen dataclasses whose fields name the environment variable that they are read from.

@dataclass(frozen=True)
class WorkerSettings:
    elasticsearch: ElasticsearchSettings = field(default_factory=ElasticsearchSettings)
    threads: Annotated[Whole, Ge(1), Variable("NITAMONO_DECODE_THREADS", "Threads of each process.")] = 2

read_settings(WorkerSettings, os.environ)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from annotated_types import Ge, Le
from pydantic import BeforeValidator, TypeAdapter, ValidationError

from settings.errors import InvalidSetting
from settings.numbers import decimal_number, whole_number

S = TypeVar("S")

Whole = Annotated[int, BeforeValidator(whole_number)]
"""A whole number in digits."""

Port = Annotated[Whole, Ge(1), Le(65_535)]
"""A TCP port."""


Share = Annotated[float, BeforeValidator(decimal_number), Ge(0), Le(1)]
"""A number in digits from 0 to 1."""

RankingWeight = Annotated[float, BeforeValidator(decimal_number), Ge(0), Le(10)]
"""A number in digits from 0 to 10."""


@dataclass(frozen=True)
class Unit:
    """The unit of a number, for messages."""

    name: str


Seconds = Annotated[float, BeforeValidator(decimal_number), Unit("seconds"), Ge(0.1), Le(86_400)]
"""A number of seconds in digits, from 0.1 to 86,400."""


@dataclass(frozen=True)
class Variable:
    """The environment variable of a field."""

    name: str
    description: str
    """What it sets, for docs/settings.md."""
    expected: str = ""
    """What a message expects, where the field's type and range do not say it."""
    default: str | None = None
    """The default for docs/settings.md, where it depends on the machine."""
    used_by: str = ""
    """Who reads it, for docs/settings.md, where that is not every process with the settings class."""
    secret: bool = False
    """Whether messages leave the value out."""


@dataclass(frozen=True)
class Setting:
    """A field of a settings class with its variable."""

    field: Field[Any]
    annotation: Any
    variable: Variable

    @property
    def default(self) -> Any:
        """The value if the variable is not set, or None if there is no default."""
        return None if self.field.default is MISSING else self.field.default

    @property
    def expected(self) -> str:
        """What a value must be, as a noun phrase."""
        if self.variable.expected:
            return self.variable.expected
        kind, *constraints = get_args(self.annotation)
        if get_origin(kind) is Literal:
            return f"one of {', '.join(get_args(kind))}"
        kinds, limits = set(), constraints
        for part in get_args(kind) or [kind]:  # the types of a union, each with constraints of its own
            base, *own = get_args(part) or [part]
            kinds.add(base)
            limits = [*limits, *own]
        if kinds & {str, Path}:
            return "text" if str in kinds else "a path"
        if not kinds & {int, float}:
            raise TypeError(f"{self.variable.name} needs a text for `expected`: its type is {kind}")
        return _number(int in kinds, limits)

    def read(self, text: str) -> Any:
        """Return the value that the text stands for.

        Raises:
            InvalidSetting: naming the variable, what was found and what is expected.
        """
        try:
            return TypeAdapter(self.annotation).validate_python(text)
        except ValidationError:  # it repeats the value, which may be a secret
            found = "has an invalid value" if self.variable.secret else f"is {text!r:.60}"
            raise InvalidSetting(f"{self.variable.name} {found}, expected {self.expected}") from None


def read_settings(cls: type[S], environ: Mapping[str, str], defaults: Mapping[str, str] | None = None) -> S:
    """Return an instance of a settings class and of the groups nested in it.

    Args:
        cls: the settings class.
        environ: the environment. An empty variable counts as not set.
        defaults: the texts of variables that are not set, where a default depends on the environment.

    Raises:
        InvalidSetting: a variable has a value that cannot be used.
    """
    texts = {**(defaults or {}), **{name: text for name, text in environ.items() if text}}
    values: dict[str, Any] = {
        setting.field.name: setting.read(texts[setting.variable.name])
        for setting in own_settings(cls)
        if setting.variable.name in texts
    }
    for name, group in _groups(cls):
        read = getattr(group, "from_environ", None)
        values[name] = read(environ) if read else read_settings(group, environ)
    return cls(**values)


def own_settings(cls: type) -> Iterator[Setting]:
    """Yield the fields of a settings class that have a variable, without those of nested groups."""
    hints = get_type_hints(cls, include_extras=True)
    for each in fields(cls):
        variable = next((part for part in get_args(hints[each.name]) if isinstance(part, Variable)), None)
        if variable is not None:
            yield Setting(each, hints[each.name], variable)


def all_settings(cls: type) -> Iterator[Setting]:
    """Yield the settings of a class, those of nested groups first."""
    for _, group in _groups(cls):
        yield from all_settings(group)
    yield from own_settings(cls)


def comma_separated(text: str) -> tuple[str, ...]:
    """Return the parts of a comma-separated list, without spaces around them and empty ones.

    Raises:
        ValueError: there is none.
    """
    parts = tuple(part for part in re.split(r"\s*,\s*", text.strip()) if part)
    if not parts:
        raise ValueError("an empty list")
    return parts


def _number(whole: bool, constraints: Iterable[object]) -> str:
    """Return `a whole number from 1 to 9` or `a number of seconds from 0.1 up`."""
    found = list(constraints)
    unit = next((f" of {each.name}" for each in found if isinstance(each, Unit)), "")
    least = next((each.ge for each in found if isinstance(each, Ge)), 0)
    most = next((each.le for each in found if isinstance(each, Le)), None)
    noun = "a whole number" if whole else "a number"
    return f"{noun}{unit} from {least} {'up' if most is None else f'to {most}'}"


def _groups(cls: type) -> Iterator[tuple[str, type]]:
    """Yield the fields of a settings class that are settings classes themselves."""
    hints = get_type_hints(cls)
    for each in fields(cls):
        if is_dataclass(hints[each.name]):
            yield each.name, hints[each.name]
