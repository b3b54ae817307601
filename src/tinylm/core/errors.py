"""What can go wrong, as the user reads it.

Every message is one sentence that says what is wrong, where, and what to do. The command line prints it and
turns the class into an exit code; nothing else in the package catches these.
"""


class TinyLMError(Exception):
    """Base of every error that tinylm raises on purpose."""

    exit_code = 1


class InputError(TinyLMError):
    """Bad input or wrong use: a missing file, an unreadable row, settings that contradict each other."""

    exit_code = 2


class MissingExtraError(InputError):
    """A command needs a part of the installation that is not there."""

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(f"{what} needs the `{extra}` extra; install it with: pip install 'tinylm[{extra}]'")


class DivergedError(TinyLMError):
    """Training produced a loss that is not finite, or that exploded."""


class InterruptedByUserError(TinyLMError):
    """Ctrl-C or SIGTERM; the state was saved first."""

    exit_code = 130
