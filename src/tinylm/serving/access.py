"""The token that a server may ask for: where it comes from, and who has it."""

import hmac
import os
from pathlib import Path

from fastapi import HTTPException, Request
from fastapi.security import HTTPBearer

from tinylm.core.errors import InputError

VARIABLE = "TINYLM_TOKEN"


def read_token(file: Path | None) -> str | None:
    """The token in a file, else the one in the environment, else None: whoever reaches the server may use it.

    Raises:
        InputError: the file cannot be read, or the token is empty or cannot stand in a header.
    """
    if file is None and VARIABLE not in os.environ:
        return None
    where = VARIABLE if file is None else str(file)
    try:
        token = (os.environ[VARIABLE] if file is None else file.read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InputError(f"the token cannot be read from {where} ({reason}); give a text file with one line") from error
    if not token:
        raise InputError(f"{where} is empty; put a token there, or leave it away to serve without")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise InputError(f"the token in {where} cannot stand in a header; use letters, digits and -._~+/=")
    return token


class Bearer(HTTPBearer):
    """Lets requests with the token pass, and answers 401 to all others."""

    def __init__(self, token: str) -> None:
        super().__init__(auto_error=False, scheme_name="token", description="The token the server was started with.")
        self._token = token.encode()

    async def __call__(self, request: Request) -> None:  # type: ignore[override]
        """Raise the 401, or do nothing."""
        # The header is bytes that Starlette shows as Latin-1, so this gives back what was sent.
        scheme, _, given = request.headers.get("authorization", "").encode("latin-1").partition(b" ")
        if scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._token):
            return
        wrong = "The token is not the one this server was started with" if given else "This server wants a token"
        raise HTTPException(
            401,
            f"{wrong}; send it in the header 'Authorization: Bearer TOKEN'.",
            headers={"WWW-Authenticate": "Bearer"},
        )
