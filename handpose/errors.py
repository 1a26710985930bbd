"""The one error that a user is meant to read."""


class HandposeError(Exception):
    """A problem with what the user gave, told in one line that says what to do."""
