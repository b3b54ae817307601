"""How `tinylm serve` bears load and abuse, and whether it loses a request when it is stopped.

    python -m benchmarks.serving MODEL [--seconds 60] [--schemathesis /path/to/schemathesis]

The server is a process of its own, reached through 127.0.0.1. First `wrk` loads it from 1, 8 and 64 connections, for
`--seconds` each. Then for `--seconds` it gets what nobody should send (`abuse.py`). Last it is told to stop while it is
traffic. The numbers are kept in `runs/benchmarks/serving.json`.

`wrk` is a package of that name in Debian, Ubuntu, Fedora and Homebrew; `schemathesis` is on PyPI, and is left out, with
a line that says so, where it is not found.
"""

import argparse
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.runner import environment, machine
from benchmarks.serving.abuse import Traffic, abuse, send

RESULTS = Path("runs/benchmarks/serving.json")
CONNECTIONS = (1, 8, 64)
TEXTS = (
    "printer on floor 3 is jammed again",
    "I cannot log in since I changed my password this morning, and the page for resetting it shows an error",
    "wifi",
    "Return the sorted unique elements of an array.",
    "The new router drops the connection every few minutes. I have tried another cable and another room; the signal is "
    "strong, and my colleague at the next desk has no trouble. Please send somebody, or tell me what else to look at.",
)

_LUA = """
local bodies = {%s}
local number = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  number = number %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[number])
end
done = function(summary, latency)
  local e = summary.errors
  print(string.format('{"requests": %%d, "seconds": %%f, "p50_ms": %%f, "p99_ms": %%f, "errors": %%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
_CLIENTS_AT_THE_END = 16
_SECONDS_BEFORE_THE_END = 2.0
_SECONDS_TO_STOP = 60.0


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    process: subprocess.Popen[str]
    port: int

    def rss_mb(self) -> float:
        """Memory of its processes together, MiB; pages they share are counted for each."""
        return sum(_rss(pid) for pid in [self.process.pid, *_children(self.process.pid)]) / 1024


@contextmanager
def serving(model: Path, workers: int, threads: int) -> Iterator[Server]:
    """`tinylm serve` on a free port, killed at the end where it still runs."""
    options = ("--port", "0", "--workers", str(workers), "--threads", str(threads))
    process = subprocess.Popen(
        [sys.executable, "-m", "tinylm", "serve", str(model), *options],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(threads),
    )
    assert process.stderr is not None
    said: list[str] = []
    try:
        while not (said and "serving on http" in said[-1]):
            line = process.stderr.readline()
            if not line:
                raise SystemExit("".join(said) or "the server ended without a word")
            said.append(line)
        # Faults that it reports from here on are the benchmark's to show.
        threading.Thread(target=shutil.copyfileobj, args=(process.stderr, sys.stderr), daemon=True).start()
        found = re.search(r":(\d+);", said[-1])
        assert found is not None
        server = Server(process, int(found[1]))
        while send(server.port, "POST", "/predict", b'{"text": "a"}').status != 200:
            time.sleep(0.1)
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def load(server: Server, connections: int, seconds: float, script: Path) -> dict[str, Any]:
    """Load it from so many connections; requests a second, latency, errors, and memory before and after."""
    before = server.rss_mb()
    url = f"http://127.0.0.1:{server.port}/predict"
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        "--timeout",
        "10s",
        "-s",
        str(script),
        url,
    ]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    rate = found["requests"] / found["seconds"]
    return {"connections": connections, "per_second": rate, **found, "rss_mb": [before, server.rss_mb()]}


def stop(server: Server) -> dict[str, Any]:
    """Send from many connections, stop the server, and count who was let in and not answered."""
    clients = [_Client(server.port) for _ in range(_CLIENTS_AT_THE_END)]
    time.sleep(_SECONDS_BEFORE_THE_END)
    start = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    code = server.process.wait(_SECONDS_TO_STOP)
    seconds = time.monotonic() - start
    for client in clients:
        client.thread.join(_SECONDS_TO_STOP)
    accepted, answered = (sum(getattr(client, name) for client in clients) for name in ("accepted", "answered"))
    return {"accepted": accepted, "answered": answered, "exit_code": code, "seconds_to_stop": seconds}


class _Client:
    """Sends on a connection that it keeps, makes a new one where the server closed it, and ends when it is refused."""

    def __init__(self, port: int) -> None:
        self.accepted = self.answered = 0
        self._port = port
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def _send(self) -> None:
        body = json.dumps({"text": TEXTS[0]}).encode()
        request = b"POST /predict HTTP/1.1\r\nHost: tinylm\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", self._port), timeout=_SECONDS_TO_STOP)
            except OSError:
                return
            with connection:
                keep = True
                while keep:
                    self.accepted += 1
                    keep = self._answered(connection, request)

    def _answered(self, connection: socket.socket, request: bytes) -> bool:
        answer = b""
        try:
            connection.sendall(request)
            while not answer.endswith(b"}") and (part := connection.recv(65536)):
                answer += part
        except OSError:
            return False
        whole = answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"}")
        self.answered += whole
        return whole and b"connection: close" not in answer


def _rss(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) if found else 0


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]
    except OSError:
        return []


def show_load(rows: Sequence[dict[str, Any]]) -> None:
    """Print a table in Markdown."""
    print("\n| connections | requests/s | p50 | p99 | requests | errors | memory before | after |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    for row in rows:
        before, after = row["rss_mb"]
        print(
            f"| {row['connections']} | {row['per_second']:,.0f} | {row['p50_ms']:.2f} ms | {row['p99_ms']:.2f} ms "
            f"| {row['requests']:,} | {row['errors']} | {before:.1f} MB | {after:.1f} MB |",
            flush=True,
        )


def show_abuse(found: Mapping[str, Traffic], slowest_probe: float, memory: Sequence[float]) -> None:
    """Print a table in Markdown."""
    print("\n| sent | requests | answers by status | 5xx | without answer |")
    print("|---|--:|---|--:|--:|")
    for name, traffic in found.items():
        statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(traffic.statuses.items()))
        print(f"| {name} | {traffic.requests:,} | {statuses} | {traffic.faults} | {traffic.unanswered} |", flush=True)
    for name, traffic in found.items():
        if traffic.others:
            print(f"\n{name} says: {traffic.others}")
    print(
        f"\nThe slowest /healthz meanwhile took {slowest_probe:.0f} ms; memory {memory[0]:.1f} to {memory[1]:.1f} MB."
    )


def main() -> None:
    """Load, abuse and stop a server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of a trained or exported model")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each part")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each worker")
    parser.add_argument(
        "--schemathesis", default=shutil.which("schemathesis"), help="the command, where it is not found"
    )
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not on the PATH; install it, as with: apt install wrk, or brew install wrk")
    about = machine(("onnxruntime", "tokenizers", "uvicorn", "uvloop", "fastapi"))
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(arguments.model, arguments.workers, arguments.threads) as server,
    ):
        script = Path(folder) / "wrk.lua"
        bodies = ", ".join(f"[==[{json.dumps({'text': text})}]==]" for text in TEXTS)
        script.write_text(_LUA % bodies, encoding="utf-8")
        rows = [load(server, connections, arguments.seconds, script) for connections in CONNECTIONS]
        show_load(rows)
        before = server.rss_mb()
        found, slowest = abuse(server.port, arguments.seconds, arguments.schemathesis)
        memory = [before, server.rss_mb()]
        show_abuse(found, slowest, memory)
        alive = send(server.port, "POST", "/predict", b'{"text": "a"}').status == 200
        stopped = stop(server)
    faults = sum(traffic.faults for traffic in found.values())
    print(f"\nAnswers 5xx: {faults}. Answers afterwards: {'yes' if alive else 'no'}.")
    print("Stopped under load: {accepted:,} accepted, {answered:,} answered, ".format(**stopped), end="")
    print("exit code {exit_code} after {seconds_to_stop:.1f} s.".format(**stopped))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    kept = {
        "when": time.strftime("%Y-%m-%d %H:%M:%S"),
        "machine": about,
        "model": str(arguments.model),
        "seconds": arguments.seconds,
        "workers": arguments.workers,
        "threads": arguments.threads,
        "load": rows,
        "abuse": {name: traffic.as_json() for name, traffic in found.items()},
        "slowest_probe_ms": slowest,
        "abuse_rss_mb": memory,
        "alive": alive,
        "stop": stopped,
    }
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    if faults or not alive or stopped["accepted"] != stopped["answered"]:
        raise SystemExit("the server did not bear it; see above")


if __name__ == "__main__":
    main()
