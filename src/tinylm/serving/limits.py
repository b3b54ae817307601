"""What a server accepts from a client."""

from dataclasses import dataclass, fields

from tinylm.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one request may ask for, and how much may wait.

    Attributes:
        max_body: bytes of a request.
        max_texts: texts of a request.
        max_characters: characters of a text.
        max_waiting: texts that may wait in a worker; further requests get 503.
        batch: texts that are answered together.
        timeout: seconds that a request may take to arrive.

    Raises:
        InputError: a limit leaves no room for any request, or `max_waiting` none for the largest.
    """

    max_body: int = 1 << 21
    max_texts: int = 256
    max_characters: int = 100_000
    max_waiting: int = 4096
    batch: int = 32
    timeout: float = 10.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            flag = flag_of(field.name)
            if field.name == "timeout":
                # The comparison is turned around so that NaN fails it too.
                if not 0 < value <= 3600:
                    raise InputError(f"{flag} is {value:g}; it must be above 0 and at most 3600 seconds")
            elif value < 1:
                raise InputError(f"{flag} is {value}; it must be at least 1")
        if self.max_waiting < self.max_texts:
            raise InputError(
                f"--max-waiting is {self.max_waiting} and --max-texts {self.max_texts}; "
                "at least the texts of one request must be able to wait"
            )


def flag_of(name: str) -> str:
    """The option of the command line that sets a limit."""
    return f"--{name.replace('_', '-')}"
