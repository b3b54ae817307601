"""What the tests of the server share: a classifier that needs no model, a server in a thread, ways to ask it."""

import http.client
import json
import re
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinylm.committee.voting import PLAIN
from tinylm.runtime.predictions import Explanation, Predictions, Word
from tinylm.serving import stopping
from tinylm.serving.app import create_app
from tinylm.serving.limits import Limits

LABELS = ("account", "network", "printer")


class FakeClassifier:
    """Gives each text probabilities of its own, and remembers what it was asked together.

    Args:
        labels: to choose from.
        members: that vote.
        seconds: that a call takes.
        thresholds: of the labels, where a text may have several.
    """

    voting = PLAIN
    threads = 1

    def __init__(
        self, labels: tuple[str, ...] = LABELS, members: int = 3, seconds: float = 0.0, thresholds=None
    ) -> None:
        self.labels = labels
        self.calls: list[list[str]] = []
        self.open = threading.Event()
        self.open.set()
        self._members, self._seconds = members, seconds
        self._thresholds = None if thresholds is None else np.array(thresholds)

    def __len__(self) -> int:
        return self._members

    def predict_batch(self, texts) -> Predictions:
        self.calls.append(list(texts))
        time.sleep(self._seconds)
        assert self.open.wait(20)
        if "fault" in texts:
            raise RuntimeError("a fault")
        votes = np.stack([self._votes(text) for text in texts], axis=1).astype(np.float32)
        tokens = np.array([len(text.split()) + 2 for text in texts])
        return Predictions(
            self.labels, votes.mean(0), votes, tokens, np.zeros(len(texts), bool), thresholds=self._thresholds
        )

    def explain(self, text: str) -> Explanation:
        found = [match.span() for match in re.finditer(r"\S+", text)]
        words = tuple(
            Word(start, end, 0.8 * (i + 1) / sum(range(len(found) + 1))) for i, (start, end) in enumerate(found)
        )
        return Explanation(self.predict_batch([text]), words, 0.2 if words else 1.0)

    def _votes(self, text: str) -> np.ndarray:
        generator = np.random.default_rng(zlib.crc32(text.encode("utf-8", "replace")))
        return generator.dirichlet(np.ones(len(self.labels)), self._members)


@dataclass
class Reply:
    """A response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def detail(self) -> str:
        """The sentence of a refusal, which is all it has."""
        assert self.headers["Content-Type"] == "application/json"
        (detail,) = self.json.values()
        return detail


@dataclass
class Served:
    """A server that runs."""

    port: int
    app: Any = None
    server: Any = None
    thread: threading.Thread | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """One request on a connection of its own; whatever is no bytes is sent as JSON."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, path, body, {**self.headers, **headers})
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())

    def predict(self, body: Any, **headers: str) -> Reply:
        return self.ask("POST", "/predict", body, **headers)

    def raw(self, *parts: bytes, pause: float = 0.0) -> bytes:
        """Send bytes as they are, and read until the server closes."""
        with closing(self.connect()) as connection:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            return read_all(connection)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def metrics(self) -> dict[str, float]:
        return samples(self.ask("GET", "/metrics").body)


def samples(page: bytes) -> dict[str, float]:
    """The numbers of a page of metrics, by name and labels as they stand there."""
    lines = (line.rpartition(" ") for line in page.decode().splitlines() if not line.startswith("#"))
    return {name: float(number) for name, _, number in lines}


def read_all(connection: socket.socket) -> bytes:
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


@contextmanager
def serving(classifier=None, token: str | None = None, routers=(), **limits) -> Iterator[Served]:
    """A server in a thread, stopped at the end without its moment of patience."""
    app = create_app(classifier or FakeClassifier(), Limits(**limits), token, routers=routers)
    listener = socket.create_server(("127.0.0.1", 0))
    server = stopping.Server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    served = Served(listener.getsockname()[1], app, server, thread, headers)
    thread.start()
    try:
        yield served
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        assert not thread.is_alive()


def eventually(condition, seconds: float = 10.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.005)
