"""What goes wrong in ml/ that its user can mend."""


class MlError(Exception):
    """Base of the package's errors; the message says what was found, what was expected and what to do."""
