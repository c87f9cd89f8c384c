"""The table of docs/settings.md: `python -m docs.settings_table` writes it from the settings classes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from demo.local_services.settings import ServiceSettings
from events.worker.settings import EventSettings
from indexer.settings import IndexerSettings
from query.api.settings import QuerySettings
from settings.environment import Setting, all_settings

PAGE: Final = Path(__file__).with_name("settings.md")
START: Final = "<!-- Written by `python -m docs.settings_table`. -->\n"
END: Final = "<!-- End of the table. -->\n"

READERS: Final = {
    "API": QuerySettings,
    "worker of listings": IndexerSettings,
    "worker of events": EventSettings,
    "`make`": ServiceSettings,
}
"""The processes, each with its settings class."""


def table() -> str:
    """Return the Markdown table of all settings, in the order of the classes."""
    readers: dict[str, list[str]] = {}
    settings: dict[str, Setting] = {}
    for reader, cls in READERS.items():
        for setting in all_settings(cls):
            settings.setdefault(setting.variable.name, setting)
            names = readers.setdefault(setting.variable.name, [])
            names.extend([reader] if reader not in names else [])
    lines = ["| variable | default | read by | what it sets |", "|---|---|---|---|"]
    return "\n".join([*lines, *(_row(settings[name], readers[name]) for name in settings)]) + "\n"


def page_with_table(page: str) -> str:
    """Return the page with the table between its marks replaced."""
    before, _, rest = page.partition(START)
    return f"{before}{START}{table()}{END}{rest.partition(END)[2]}"


def _row(setting: Setting, readers: list[str]) -> str:
    variable = setting.variable
    used_by = variable.used_by or ("all" if len(readers) >= len(READERS) - 1 else ", ".join(readers))
    return f"| `{variable.name}` | {_default(setting)} | {used_by} | {variable.description} |"


def _default(setting: Setting) -> str:
    value = setting.default
    if setting.variable.default is not None:
        return setting.variable.default
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    text = value if isinstance(value, str) else ", ".join(value or ())
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
