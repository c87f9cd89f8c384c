"""Errors of a calibration that a user can correct."""

from __future__ import annotations

from settings.errors import UserError


class CalibrationError(UserError):
    """A calibration that cannot be made."""


class InvalidJudgments(CalibrationError):
    """A file of judgments or labels with lines that cannot be used."""


class TooLittleData(CalibrationError):
    """Too few items with judged candidates of the live index."""


class OtherEncoder(CalibrationError):
    """The ranking in use is for another encoder than the live index."""


class NotWritten(CalibrationError):
    """The ranking file exists or cannot be written."""
