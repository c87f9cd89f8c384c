"""Base of the errors of ml/ that a user can fix."""

from settings.errors import UserError


class MlError(UserError):
    """Base of the package's errors. The message says what was found, what was expected and what to do."""
