"""The base of all errors that a user can correct."""

from __future__ import annotations


class UserError(Exception):
    """Something that a user can correct. The message says what was found and what was expected."""


class InvalidSetting(UserError):
    """An environment variable holds a value that cannot be used."""
