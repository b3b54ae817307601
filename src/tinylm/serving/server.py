"""`tinylm serve`: a model behind HTTP until SIGTERM or Ctrl-C."""

import ipaddress
import socket
import sys
from pathlib import Path

from tinylm.core.errors import InputError, InterruptedByUserError
from tinylm.core.progress import Progress, Silent
from tinylm.runtime.classifier import Classifier
from tinylm.runtime.loading import load
from tinylm.serving.access import VARIABLE, read_token
from tinylm.serving.app import create_app
from tinylm.serving.limits import Limits
from tinylm.serving.stopping import Server
from tinylm.serving.workers import Work, supervise

_BACKLOG = 2048
_LABELS_SHOWN = 8


def serve(
    model: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    threads: int = 1,
    limits: Limits | None = None,
    token_file: Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Answer over HTTP until SIGTERM, and then return when everything accepted is answered.

    Args:
        model: folder of a trained model.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        workers: processes that answer, each with the model.
        threads: that compute in each of them.
        limits: what is taken from clients.
        token_file: file of the token that clients must send; else `TINYLM_TOKEN`, else none is required.
        progress: receives what is served, and where.

    Raises:
        InputError: the folder is no model, the address cannot be had, the token cannot be read, or there are no
            workers.
        InterruptedByUserError: it was Ctrl-C instead.
    """
    progress = progress or Silent()
    limits = limits or Limits()
    if workers < 1:
        raise InputError(f"workers is {workers}; at least 1 must answer")
    token = read_token(token_file)
    classifier = load(model, threads)
    listener = _listen(host, port)
    lines = _announcement(classifier, listener.getsockname(), workers, guarded=token is not None)

    def announce() -> None:
        for line in lines:
            progress.say(line)

    if workers == 1:
        server = Server(create_app(classifier, limits, token), announce)
        server.run(sockets=[listener])
        interrupted = server.interrupted
    else:
        # Each worker opens the model itself; here it was opened to see that it can be.
        del classifier
        interrupted = supervise(Work(Path(model), threads, limits, token), listener, workers, announce)
    if interrupted:
        raise InterruptedByUserError("stopped")


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise InputError(f"port is {port}; it must be at least 0 and at most 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"{host!r} is no address of this machine; give --host an IP address or a name") from error
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":
            # Else the port stays taken for a minute after a server has stopped.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise InputError(f"cannot listen on port {port} of {host} ({error.strerror}); choose another --port") from error
    return listener


def _announcement(classifier: Classifier, address: tuple[str, int], workers: int, *, guarded: bool) -> list[str]:
    host, port = address[:2]
    labels = ", ".join(classifier.labels[:_LABELS_SHOWN]) + (", ..." if len(classifier.labels) > _LABELS_SHOWN else "")
    members = f"{len(classifier)} member(s) vote on {len(classifier.labels)} label(s): {labels}"
    shown = f"[{host}]" if ":" in host else host
    lines = [
        members if workers == 1 else f"{members}; {workers} workers",
        f"serving on http://{shown}:{port}; Ctrl-C stops it, after answering what it accepted",
    ]
    if not guarded and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        lines.append(
            f"warning: whoever reaches this machine on port {port} can use the model; "
            f"ask for a token with --token-file or {VARIABLE}, or leave --host away"
        )
    return lines
