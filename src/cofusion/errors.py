"""Errors whose message is written for the person at the keyboard."""


class UserError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that names what was given, what was expected and what to do. The command line
    prints it without a traceback and exits with status 1.
    """
