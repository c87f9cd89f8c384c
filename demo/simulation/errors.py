"""Why a simulation cannot be run. Each message says what was found and what was expected."""

from settings.errors import UserError


class SimulationError(UserError):
    """A simulation cannot be run as asked."""


class ApiUnusable(SimulationError):
    """The API does not answer, or refuses what a simulation needs."""


class ImpossibleTruth(SimulationError):
    """A parameter outside its range, or lifts that would make a probability exceed 1."""


class LogExists(SimulationError):
    """The folder is not empty; two simulations in one log would be one broken experiment."""


class NothingOnSale(SimulationError):
    """A catalogue without a listing that could be shown."""


class UnknownArm(SimulationError):
    """An encoder for an arm that the experiment does not have."""


class UnknownPhotos(SimulationError):
    """An artifact for listings whose photos the simulation cannot draw."""
