"""What can be wrong with an experiment or its log."""

from settings.errors import UserError


class ExperimentError(UserError):
    """Something about an experiment or its log that a person has to mend."""


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
