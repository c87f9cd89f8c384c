"""Errors about experiments and their logs."""

from settings.errors import UserError


class ExperimentError(UserError):
    """A fault of an experiment or its log that a person must fix."""


class InvalidDefinition(ExperimentError):
    """A file of an experiment that cannot be used."""


class UnknownExperiment(ExperimentError):
    """A name that no file defines."""


class UnreadableLog(ExperimentError):
    """A folder that holds no log."""


class NoBaseline(ExperimentError):
    """A log from which nothing can be planned."""


class NothingExposed(ExperimentError):
    """A log in which no user was shown an arm."""
