"""A server says where it is and stops without dropping a request; several share a socket and add up their counts."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli_fixtures import call, environment
from server_fixtures import FakeClassifier, Served, eventually, read_all, serving

from tinylm.serving import server, stopping
from tinylm.serving.access import read_token

SCRIPT = Path(__file__).parents[1] / "support" / "serve_fake.py"
REQUEST = b'POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n{"text": "a"}'


class ServerProcess(subprocess.Popen[str]):
    announced: list[str]
    port: int


@contextmanager
def process(*arguments, **variables):
    """A server in a process of its own, killed at the end where it still runs."""
    paths = os.pathsep.join(str(path) for path in (SCRIPT.parent, SCRIPT.parents[1]))
    child = ServerProcess(
        [sys.executable, str(SCRIPT), *map(str, arguments), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONPATH=paths, PYTHONUNBUFFERED="1", **variables),
        start_new_session=True,
    )
    try:
        lines = []
        while not (lines and lines[-1].startswith("serving on ")):
            line = child.stderr.readline()
            assert line, lines
            lines.append(line.rstrip("\n"))
        child.announced = lines
        child.port = int(re.search(r":(\d+);", lines[-1])[1])
        yield child, Served(child.port)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        child.stderr.close()


def ended(child, seconds: float = 20.0) -> tuple[int, str]:
    """Exit code and what was said after the announcement."""
    child.wait(seconds)
    assert child.stdout.read() == ""
    return child.returncode, child.stderr.read()


def is_gone(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


class Load:
    """Clients that ask on and on, on connections that they keep, until they are told to close or turned away."""

    def __init__(self, port: int, clients: int) -> None:
        self.answered = self.lost = 0
        self._stopped = False
        self._port, self._lock = port, threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped = True
        self.join()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()

    def _ask(self) -> None:
        while not self._stopped:
            try:
                connection = socket.create_connection(("127.0.0.1", self._port), timeout=10)
            except OSError:
                return
            with connection:
                while self._answered(connection) and not self._stopped:
                    pass

    def _answered(self, connection: socket.socket) -> bool:
        """One request; False when the connection is to be closed."""
        try:
            connection.sendall(REQUEST)
            answer = b""
            while not answer.endswith(b"}") and (part := connection.recv(65536)):
                answer += part
        except OSError:
            answer = b""
        whole = answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"}")
        with self._lock:
            self.answered += whole
            self.lost += not whole
        return whole and b"connection: close" not in answer


def test_it_says_what_it_serves_and_how_to_stop():
    with process("0") as (child, served):
        assert child.announced == [
            "3 member(s) vote on 3 label(s): account, network, printer",
            f"serving on http://127.0.0.1:{child.port}; Ctrl-C stops it, after answering what it accepted",
        ]
        assert served.predict({"text": "a"}).status == 200
        child.send_signal(signal.SIGTERM)
        assert ended(child) == (0, "")
        assert is_gone(child.port)


def test_ctrl_c_ends_it_as_every_command():
    with process("0") as (child, _):
        os.killpg(child.pid, signal.SIGINT)
        assert ended(child) == (130, "\nstopped\n")


def test_a_second_ctrl_c_stops_at_once():
    with process("5") as (child, _), socket.create_connection(("127.0.0.1", child.port)) as waiting:
        waiting.sendall(REQUEST)
        time.sleep(0.2)
        start = time.monotonic()
        child.send_signal(signal.SIGINT)
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        code, said = ended(child)
        assert (code, said) == (130, "\nstopped\n")
        assert time.monotonic() - start < 3


def test_a_warning_for_a_server_that_all_can_reach():
    with process("0", "--host", "0.0.0.0") as (child, _):
        child.send_signal(signal.SIGTERM)
        assert ended(child) == (
            0,
            f"warning: whoever reaches this machine on port {child.port} can use the model; "
            "ask for a token with --token-file or TINYLM_TOKEN, or leave --host away\n",
        )


def test_the_order_of_stopping(monkeypatch):
    monkeypatch.setattr(stopping, "LINGER_SECONDS", 0.6)
    with serving() as served, served.connect() as early, served.connect() as idle:
        early.sendall(REQUEST)
        assert b"connection: close" not in early.recv(65536)
        served.server.should_exit = True
        eventually(lambda: served.app.state.draining)
        # New connections and old ones are answered, and told that it is over.
        ready = served.ask("GET", "/readyz")
        assert (ready.status, ready.headers["Connection"]) == (503, "close")
        assert ready.detail == "The server is stopping; use another one."
        assert served.ask("GET", "/healthz").status == 200
        assert served.predict({"text": "a"}).headers["Connection"] == "close"
        assert served.ask("GET", "/nothing").headers["Connection"] == "close"
        early.sendall(REQUEST)
        assert b"connection: close" in read_all(early)
        eventually(lambda: is_gone(served.port))
        # One that was accepted and has not spoken is heard after the listener is closed.
        idle.sendall(REQUEST)
        assert read_all(idle).startswith(b"HTTP/1.1 200 ")
        served.thread.join(5)
        assert not served.thread.is_alive()


def test_a_request_in_flight_is_finished(monkeypatch):
    monkeypatch.setattr(stopping, "LINGER_SECONDS", 0.1)
    with serving() as served, served.connect() as client:
        body = b'{"text": "a"}'
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n" + body[:5])
        served.server.should_exit = True
        eventually(lambda: is_gone(served.port))
        time.sleep(0.3)
        client.sendall(body[5:])
        assert read_all(client).startswith(b"HTTP/1.1 200 ")
        served.thread.join(5)
        assert not served.thread.is_alive()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_everything_accepted_is_answered_under_load(workers):
    with process("0.002", "--workers", workers) as (child, served):
        eventually(lambda: served.predict({"text": "a"}).status == 200)
        load = Load(child.port, 8)
        time.sleep(1.0)
        child.send_signal(signal.SIGTERM)
        load.join()
        assert ended(child) == (0, "")
    assert load.answered > 50
    assert load.lost == 0


@pytest.mark.slow
def test_workers_share_the_socket_and_add_up_their_counts():
    with process("0.001", "--workers", "2") as (child, served):
        assert child.announced[0].endswith("; 2 workers")
        assert served.predict({"texts": ["a b", "c"]}).status == 200
        workers = children(child.pid)
        assert len(workers) == 2
        load = Load(child.port, 6)
        time.sleep(0.5)
        load.stop()
        # Whichever worker is asked shows the counts of both, and they stay when one dies.
        assert {served.metrics()["tinylm_texts_total"] for _ in range(5)} == {load.answered + 2}
        os.kill(min(workers), signal.SIGKILL)
        eventually(lambda: len(children(child.pid) - workers) == 1)
        assert served.metrics()["tinylm_texts_total"] == load.answered + 2
        os.killpg(child.pid, signal.SIGINT)
        assert ended(child) == (130, "a worker ended with signal 9; another takes its place\n\nstopped\n")


def children(parent: int) -> set[int]:
    """Processes that a process started and that serve, without Python's own tracker of resources."""
    command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(parent)]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {int(line.split()[0]) for line in listed.splitlines() if "spawn_main" in line}


@pytest.mark.slow
def test_workers_that_cannot_start_end_the_server():
    with process("broken", "--workers", "2") as (child, _):
        code, said = ended(child)
    assert code == 1
    assert said.splitlines()[-1] == "error: a worker ended with code 7 as soon as it was started"


@pytest.mark.slow
def test_workers_killed_at_start_end_the_server_after_a_few_with_longer_and_longer_pauses():
    """What the kernel does where memory is short for the model: exit code -9, each time."""
    with process("killed", "--workers", "2") as (child, _):
        start = time.monotonic()
        # Four spawns, each with its pause: 9 s where the machine is free.
        code, printed = ended(child, 60.0)
        seconds = time.monotonic() - start
    assert code == 1
    *earlier, last = printed.splitlines()
    assert last == (
        "error: 5 workers in a row were killed by signal 9 before they served; "
        "if memory is short, start fewer --workers or use a smaller model"
    )
    assert len(earlier) == 4
    assert all(line.startswith("a worker ended with signal 9; another takes its place in ") for line in earlier)
    assert seconds > 0.5 + 1 + 2


@pytest.mark.slow
def test_workers_do_not_outlive_the_server():
    with process("0", "--workers", "2") as (child, served):
        assert served.predict({"text": "a"}).status == 200
        child.kill()
        child.wait(5)
        eventually(lambda: is_gone(child.port))


def test_a_port_in_use(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "load", lambda *_: FakeClassifier())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = call("serve", "model", "--port", port)
    assert (ran.code, ran.out) == (2, "")
    assert ran.error == f"cannot listen on port {port} of 127.0.0.1 (Address already in use); choose another --port"


WRONG = [
    (("--port", "65536"), "port is 65536; it must be at least 0 and at most 65535"),
    (("--port", "-1"), "port is -1; it must be at least 0 and at most 65535"),
    (("--workers", "0"), "workers is 0; at least 1 must answer"),
    (
        ("--host", "no.such.host.invalid"),
        "'no.such.host.invalid' is no address of this machine; give --host an IP address or a name",
    ),
    (
        ("--host", "192.0.2.1"),
        "cannot listen on port 8000 of 192.0.2.1 (Cannot assign requested address); choose another --port",
    ),
    (("--batch", "0"), "--batch is 0; it must be at least 1"),
    (("--timeout", "0"), "--timeout is 0; it must be above 0 and at most 3600 seconds"),
    (
        ("--max-waiting", "100"),
        "--max-waiting is 100 and --max-texts 256; at least the texts of one request must be able to wait",
    ),
    (
        ("--token-file", "none"),
        "the token cannot be read from none (No such file or directory); give a text file with one line",
    ),
    (("--token-file", "."), "the token cannot be read from . (Is a directory); give a text file with one line"),
    (("--token-file", "empty"), "empty is empty; put a token there, or leave it away to serve without"),
    (("--token-file", "two words"), "the token in two words cannot stand in a header; use letters, digits and -._~+/="),
    (("--token-file", "umlaut"), "the token in umlaut cannot stand in a header; use letters, digits and -._~+/="),
    (("--token-file", "latin"), "the token cannot be read from latin (not UTF-8); give a text file with one line"),
]


@pytest.mark.parametrize(("options", "error"), WRONG, ids=range(len(WRONG)))
def test_wrong_use_is_one_sentence(tmp_path, monkeypatch, options, error):
    monkeypatch.setattr(server, "load", lambda *_: FakeClassifier())
    monkeypatch.chdir(tmp_path)
    Path("empty").write_text("\n")
    Path("two words").write_text("two words\n")
    Path("umlaut").write_text("é")
    Path("latin").write_bytes(b"\xe9")
    ran = call("serve", "model", *options)
    assert (ran.code, ran.error) == (2, error)


def test_a_folder_that_is_no_model(tmp_path):
    ran = call("serve", tmp_path / "none")
    assert (ran.code, ran.error) == (
        2,
        f"there is no model at {tmp_path / 'none'}; give the folder that `tinylm train -o` wrote",
    )
    ran = call("serve", tmp_path)
    assert ran.code == 2
    assert ran.error.startswith(f"{tmp_path} is not a trained model: ")


def test_an_empty_token_is_no_open_door(monkeypatch):
    monkeypatch.setenv("TINYLM_TOKEN", "")
    ran = call("serve", "model")
    assert (ran.code, ran.error) == (2, "TINYLM_TOKEN is empty; put a token there, or leave it away to serve without")


@pytest.mark.parametrize("module", ["fastapi", "uvicorn", "httptools", "prometheus_client"])
def test_without_the_extra(module, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("tinylm.serving")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("uvicorn.protocols")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    ran = call("serve", "model")
    assert (ran.code, ran.error) == (
        2,
        "This command needs the `serve` extra; install it with: pip install 'tinylm[serve]'",
    )


def test_the_token_of_a_file_is_asked_for(tmp_path):
    (tmp_path / "token").write_text("from-a-file\n")
    options = ("--host", "0.0.0.0", "--token-file", tmp_path / "token")
    with process("0", *options, TINYLM_TOKEN="other") as (child, served):
        assert served.predict({"text": "a"}, Authorization="Bearer other").status == 401
        reply = served.predict({"text": "a"}, Authorization="Bearer from-a-file")
        assert json.loads(reply.body)["tokens"] == 3
        command = Path(f"/proc/{child.pid}/cmdline")
        assert not command.exists() or b"from-a-file" not in command.read_bytes()
        child.send_signal(signal.SIGTERM)
        # With a token there is nothing to warn of.
        assert ended(child) == (0, "")


def test_the_token_of_the_environment_is_asked_for(monkeypatch):
    monkeypatch.setenv("TINYLM_TOKEN", " from-outside\n")
    assert read_token(None) == "from-outside"
    monkeypatch.delenv("TINYLM_TOKEN")
    assert read_token(None) is None
