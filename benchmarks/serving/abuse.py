"""What nobody should send to a server, sent by several clients at once, while a probe checks that it still answers.

Each client counts what it got. The pace is bounded, and everything ends by itself.
"""

import http.client
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

_PAUSE = 0.02
_SLOW_CLIENTS = 8

_SETTINGS = """
# A text that is refused may be refused for the size of its body, and a good one too: 413 is documented.
[checks]
negative_data_rejection.expected-statuses = ["4xx"]
positive_data_acceptance.expected-statuses = ["2xx", "413", "503"]
"""

BROKEN = (
    b"",
    b"hello",
    b"{",
    b"[" * 200_000,
    b'{"text":' * 100_000,
    b'{"text": "\xff"}',
    b'{"text": "\\ud800"}',
    b'{"text": "\\u0000"}',
    b'{"text": NaN}',
    b'{"text": 1e999}',
    b'{"text": ' + b"9" * 500_000 + b"}",
    b'{"text": "a", "text": null}',
    b'{"text": null}',
    b'{"texts": "a"}',
    b'{"texts": [' + b"0," * 300_000 + b"0]}",
    b'{"texts": ["a", 1]}',
    b'{"texts": [' + b'"",' * 300 + b'""]}',
    b'{"text": "a", "texts": []}',
    b'{"text": "a", "explain": 2}',
    b'{"text": "a", "' + b"x" * 100_000 + b'": 1}',
    '{"text": "a"}'.encode("utf-16"),
)
LARGE = (
    b"x" * 20_000_000,
    json.dumps({"text": "x" * 100_000, "explain": True}).encode(),
    json.dumps({"text": "a b " * 25_000, "explain": True}).encode(),
    json.dumps({"text": "\u202e\U0001f600\u0301" * 33_333}, ensure_ascii=False).encode(),
    json.dumps({"texts": ["a b " * 1000] * 256}).encode(),
    json.dumps({"texts": [""] * 256}).encode(),
    json.dumps({"text": "x" * 100_001}).encode(),
)
RAW = (
    b"hello\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /\xff\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n{}x",
    b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 65_600,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)


@dataclass
class Traffic:
    """What a client sent and got.

    Attributes:
        statuses: answers, by status.
        unanswered: requests whose connection was closed without one.
        others: the summary of an external tool.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    others: str = ""

    @property
    def requests(self) -> int:
        """How many were sent."""
        return sum(self.statuses.values()) + self.unanswered

    @property
    def faults(self) -> int:
        """Answers that blame the server, but for a queue that is full."""
        return sum(count for status, count in self.statuses.items() if status >= 500 and status != 503)

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {"statuses": dict(self.statuses), "unanswered": self.unanswered, "others": self.others}


@dataclass(frozen=True)
class Answer:
    """A status, 0 where there was none, and a body."""

    status: int
    body: bytes = b""


def send(port: int, method: str, path: str, body: bytes | None = None, timeout: float = 60.0) -> Answer:
    """One request on a connection of its own."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)) as connection:
        try:
            with suppress(BrokenPipeError, ConnectionResetError):
                # A server may refuse before it has everything; its answer is then still to be read.
                connection.request(method, path, body)
            response = connection.getresponse()
            return Answer(response.status, response.read())
        except (OSError, http.client.HTTPException):
            return Answer(0)


def abuse(port: int, seconds: float, schemathesis: str | None) -> tuple[dict[str, Traffic], float]:
    """Send what nobody should for so long.

    Returns:
        What each client got, and the longest that `/healthz` took meanwhile, in milliseconds.
    """
    end = time.monotonic() + seconds
    clients: dict[str, Callable[[int, float, Traffic], None]] = {
        "broken bodies": _broken,
        "large texts and bodies": _large,
        "no HTTP": _raw,
        "clients that leave": _leaving,
        **{f"slow client {number}": _slow for number in range(1, _SLOW_CLIENTS + 1)},
    }
    found = {name: Traffic() for name in clients}
    threads = [threading.Thread(target=run, args=(port, end, found[name])) for name, run in clients.items()]
    probe = _Probe(port, end)
    for thread in (*threads, probe):
        thread.start()
    if schemathesis is None:
        print("schemathesis is not found, and left out; install it, or name it with --schemathesis", file=sys.stderr)
    else:
        found["schemathesis"] = _schemathesis(schemathesis, port, seconds)
    for thread in (*threads, probe):
        thread.join()
    slow = [found.pop(name) for name in clients if name.startswith("slow client")]
    found[f"{_SLOW_CLIENTS} slow clients"] = Traffic(
        sum((traffic.statuses for traffic in slow), Counter()), sum(traffic.unanswered for traffic in slow)
    )
    found["probe of /healthz"] = probe.traffic
    return found, probe.slowest_ms


class _Probe(threading.Thread):
    """Checks ten times a second whether the server lives."""

    def __init__(self, port: int, end: float) -> None:
        super().__init__()
        self.traffic, self.slowest_ms = Traffic(), 0.0
        self._port, self._end = port, end

    def run(self) -> None:
        """Check until the end."""
        while time.monotonic() < self._end:
            start = time.perf_counter()
            _count(self.traffic, send(self._port, "GET", "/healthz"))
            self.slowest_ms = max(self.slowest_ms, 1000 * (time.perf_counter() - start))
            time.sleep(0.1)


def _broken(port: int, end: float, traffic: Traffic) -> None:
    for body in cycle(BROKEN):
        if time.monotonic() > end:
            return
        _count(traffic, send(port, "POST", "/predict", body))
        time.sleep(_PAUSE)


def _large(port: int, end: float, traffic: Traffic) -> None:
    for body in cycle(LARGE):
        if time.monotonic() > end:
            return
        _count(traffic, send(port, "POST", "/predict", body))
        time.sleep(_PAUSE)


def _raw(port: int, end: float, traffic: Traffic) -> None:
    for sent in cycle(RAW):
        if time.monotonic() > end:
            return
        with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
            received = b""
            with suppress(OSError):
                connection.sendall(sent)
                received = connection.recv(65536)
        _count(traffic, Answer(_status(received)))
        time.sleep(_PAUSE)


def _leaving(port: int, end: float, traffic: Traffic) -> None:
    """Clients that request much and do not wait for it."""
    body = json.dumps({"texts": ["a b c " * 50] * 64}).encode()
    request = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
            connection.sendall(request)
            time.sleep(_PAUSE)
        traffic.unanswered += 1


def _slow(port: int, end: float, traffic: Traffic) -> None:
    """A client that announces a body, and sends a byte of it a second."""
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
    while time.monotonic() < end:
        received = b""
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(head)
            while not received and time.monotonic() < end:
                connection.sendall(b" ")
                with suppress(TimeoutError):
                    received = connection.recv(65536)
                    break
        if received:
            _count(traffic, Answer(_status(received)))


def _schemathesis(command: str, port: int, seconds: float) -> Traffic:
    url = f"http://127.0.0.1:{port}/openapi.json"
    with tempfile.TemporaryDirectory() as folder:
        report, settings = Path(folder) / "requests.har", Path(folder) / "schemathesis.toml"
        settings.write_text(_SETTINGS, encoding="utf-8")
        options = ("--max-time", str(max(1, round(seconds))), "--continue-on-failure", "--no-color", "--workers", "1")
        try:
            ran = subprocess.run(
                [command, "--config-file", str(settings), "run", url, *options, "--report-har-path", str(report)],
                check=False,
                capture_output=True,
                text=True,
                timeout=2 * seconds + 60,
                cwd=folder,
            )
            printed = ran.stdout + ran.stderr
        except (OSError, subprocess.TimeoutExpired) as error:
            printed = str(error)
        traffic = Traffic()
        if report.exists():
            for entry in json.loads(report.read_text(encoding="utf-8"))["log"]["entries"]:
                _count(traffic, Answer(entry["response"]["status"]))
    summary = [
        line.strip(" =") for line in printed.splitlines() if re.search(r"generated|issues? found|failures?\b", line)
    ]
    traffic.others = "; ".join(summary) or printed[-2000:]
    return traffic


def _status(received: bytes) -> int:
    found = re.match(rb"HTTP/1.1 (\d{3}) ", received)
    return int(found[1]) if found else 0


def _count(traffic: Traffic, answer: Answer) -> None:
    if answer.status:
        traffic.statuses[answer.status] += 1
    else:
        traffic.unanswered += 1
