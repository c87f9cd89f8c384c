"""Base of the errors of ml/ that a user can fix."""


class MlError(Exception):
    """Base of the package's errors. The message says what was found, what was expected and what to do."""
