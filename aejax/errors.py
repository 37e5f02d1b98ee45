"""Mistakes that the user can mend."""


class UserError(Exception):
    """A mistake of the user's, told in one line that names the key and what is accepted.

    Commands print the message to standard error, without a traceback, and exit with status 2.
    """


class Diverged(UserError):
    """A loss or weights that are not finite: the run's numbers were too bold, and others may do."""
