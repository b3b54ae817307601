"""The server answers what can be read, and says what is wrong with the rest in one sentence."""

import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import HTTPException
from pydantic import ConfigDict, create_model
from server_fixtures import LABELS, FakeClassifier, Served, eventually, serving

from tinylm.core.errors import InputError
from tinylm.serving import connection, messages
from tinylm.serving.limits import Limits


@pytest.fixture(scope="module")
def served():
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def narrow():
    with serving(max_body=1000, max_texts=3, max_characters=20, timeout=0.3) as running:
        yield running


def test_one_text_is_answered(served):
    reply = served.predict({"text": "the printer is jammed"})
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    answer = reply.json
    assert list(answer["probabilities"]) == list(LABELS)
    assert answer["label"] == max(answer["probabilities"], key=answer["probabilities"].get)
    assert answer["probability"] == answer["probabilities"][answer["label"]]
    assert len(answer["votes"]) == 3
    for label in LABELS:
        mean = sum(vote[label] for vote in answer["votes"]) / 3
        assert answer["probabilities"][label] == pytest.approx(mean, abs=1e-6)
    assert answer["tokens"] == 6
    assert answer["disagreement"] > 0
    assert 0 < answer["milliseconds"] < 1000
    assert "words" not in answer


def test_many_texts_are_answered_in_their_order(served):
    texts = [f"text number {number}" for number in range(100)]
    answer = served.predict({"texts": texts}).json
    assert list(answer) == ["predictions", "milliseconds"]
    for text, prediction in zip(texts, answer["predictions"], strict=True):
        alone = served.predict({"text": text}).json
        del alone["milliseconds"]
        assert prediction == alone


def test_no_texts_have_no_predictions(served):
    assert served.predict({"texts": []}).json["predictions"] == []


def test_an_explanation_points_at_the_words(served):
    text = "der Drücker 😀 klemmt"
    answer = served.predict({"text": text, "explain": True}).json
    assert [text[word["start"] : word["end"]] for word in answer["words"]] == text.split()
    assert sum(word["weight"] for word in answer["words"]) + answer["special"] == pytest.approx(1)
    alone = served.predict({"text": text, "explain": False}).json
    assert {**answer, "milliseconds": 0} == {**alone, "milliseconds": 0} | {
        "words": answer["words"],
        "special": answer["special"],
    }


@pytest.mark.parametrize("text", ["", " ", "\x00", "a\x00b", "\u202e\ufeff", "😀" * 100, "<b>&amp;", "x" * 100_000])
def test_any_text_is_answered(served, text):
    assert served.predict({"text": text}).status == 200
    assert served.predict({"text": text, "explain": True}).status == 200


def test_answers_are_what_the_openapi_page_promises(served):
    shapes = {
        messages.OneAnswer: {"text": "a b"},
        messages.ExplainedAnswer: {"text": "a b", "explain": True},
        messages.ManyAnswers: {"texts": ["a", "b c"]},
    }
    for shape, body in shapes.items():
        exact = create_model(shape.__name__, __base__=shape, __config__=ConfigDict(extra="forbid"))
        exact.model_validate(served.predict(body).json)
    schema = served.ask("GET", "/openapi.json").json
    assert set(schema["paths"]) == {"/predict", "/healthz", "/readyz", "/metrics"}
    responses = schema["paths"]["/predict"]["post"]["responses"]
    assert set(responses) == {"200", "400", "408", "413", "422", "503"}
    for status in set(responses) - {"200"}:
        content = responses[status]["content"]["application/json"]["schema"]
        assert content == {"$ref": "#/components/schemas/Problem"}


def test_the_limits_are_in_the_openapi_page(narrow):
    body = narrow.ask("GET", "/openapi.json").json["paths"]["/predict"]["post"]["requestBody"]
    one, many = body["content"]["application/json"]["schema"]["oneOf"]
    assert one["properties"]["text"]["maxLength"] == 20
    assert many["properties"]["texts"]["maxItems"] == 3
    assert many["properties"]["texts"]["items"] == {"type": "string", "maxLength": 20}


def test_health(served):
    assert served.ask("GET", "/healthz").json == {"status": "alive"}
    assert served.ask("GET", "/readyz").json == {"status": "ready"}


def test_the_pages_need_nothing_from_elsewhere(served):
    for path in ("/", "/docs"):
        reply = served.ask("GET", path)
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
        policy = dict(part.split(" ", 1) for part in reply.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert "unsafe" not in str(policy)
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        linked = re.findall(r"""(?:src|href)=["'](?!data:)([^"']+)""", reply.body.decode())
        assert set(linked) <= {"docs", "./", "openapi.json"}


def test_the_docs_name_every_field_and_escape_the_labels():
    with serving(FakeClassifier(("<img onerror=alert(1)>", "b")), "secret") as running:
        page = running.ask("GET", "/docs").body.decode()
    assert "&lt;img onerror" in page
    assert "<img" not in page
    for shape in (messages.OneText, messages.ManyTexts, messages.ExplainedAnswer, messages.ManyAnswers):
        assert all(f"<code>{name}</code>" in page for name in shape.model_fields)
    assert "Authorization: Bearer" in page
    assert "at most 100000 characters" in page


USAGE = 'send {"text": "..."} or {"texts": ["...", "..."]}.'
NOT_JSON = [
    b"",
    b"hello",
    b"{",
    b'{"text": "a"} x',
    b"{\"text\": 'a'}",
    b"text=a",
    b"\xff\xfe",
    b'{"text": "\xff"}',
    b'{"text": "\xed\xa0\x80"}',
    b'{"text": "\\ud800"}',
    b'{"text": "a\nb"}',
    b'{"text": NaN}',
    b'{"text": ' + b"9" * 100_000 + b"}",
    b"[" * 100_000,
    b'{"text":' * 100_000,
    b'{"texts": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    '{"text": "a"}'.encode("utf-16"),
]


@pytest.mark.parametrize("body", NOT_JSON, ids=range(len(NOT_JSON)))
def test_what_is_no_json_is_refused(served, body):
    reply = served.predict(body)
    assert reply.status == 400
    assert re.fullmatch(r"The body is not JSON in UTF-8 \(.+ at line \d+ column \d+\); (.*)", reply.detail)[1] == USAGE


WRONG = [
    ("a", "The body is not a JSON object"),
    ([], "The body is not a JSON object"),
    (b"null", "The body is not a JSON object"),
    (1e300, "The body is not a JSON object"),
    ({}, "The body has neither text nor texts"),
    ({"text": "a", "texts": ["a"]}, "The body has both text and texts"),
    ({"text": None}, "text is not a string"),
    ({"text": 10**100}, "text is not a string"),
    ({"text": {"a": []}}, "text is not a string"),
    ({"texts": "a"}, "texts is not a list of strings"),
    ({"texts": {"0": "a"}}, "texts is not a list of strings"),
    ({"texts": ["a", None, 1]}, "texts[1] is not a string"),
    ({"text": "a", "explain": 1}, "explain is neither true nor false"),
    ({"text": "a", "explain": "true"}, "explain is neither true nor false"),
    ({"text": "a", "explain": None}, "explain is neither true nor false"),
    ({"text": "a", "lable": "b"}, "lable is no field that is known"),
    ({"texts": ["a"], "x" * 100: 1}, "x" * 40 + " is no field that is known"),
    ({"text": "a", "": 1}, " is no field that is known"),
]


@pytest.mark.parametrize(("body", "wrong"), WRONG, ids=range(len(WRONG)))
def test_what_is_not_a_request_is_refused(served, body, wrong):
    reply = served.predict(body)
    assert reply.status == 422
    assert reply.detail == f"{wrong}; {USAGE}"


@pytest.mark.parametrize(
    "body",
    [{"texts": [0] * 300_000}, {"text": "a"} | {f"{number}": 0 for number in range(60_000)}],
    ids=["texts", "names"],
)
def test_many_faults_at_once_do_not_hold_up_the_server(body):
    sent = json.dumps(body).encode()
    start = time.process_time()
    with pytest.raises(HTTPException) as refused:
        messages.read(sent, Limits())
    assert refused.value.status_code == 422
    assert time.process_time() - start < 0.3


def test_only_one_text_is_explained(served):
    reply = served.predict({"texts": ["a"], "explain": True})
    assert reply.status == 422
    assert reply.detail == "explain stands beside texts, and only one text can be explained; send it as text."


def test_the_last_of_two_equal_keys_counts(served):
    assert served.predict(b'{"text": 1, "text": "a"}').status == 200


def test_the_content_type_does_not_matter(served):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"):
        assert served.predict({"text": "a"}, **{"Content-Type": kind}).status == 200


def test_other_paths_and_methods(served):
    reply = served.ask("GET", "/nothing")
    assert (reply.status, reply.detail) == (404, "There is nothing at /nothing; /docs lists what there is.")
    assert served.ask("GET", "/predict/").status == 404
    assert served.ask("GET", "/%00%ff" + "x" * 5000).status == 404
    reply = served.ask("GET", "/predict")
    assert (reply.status, reply.detail) == (405, "GET is not for this path; /docs lists what there is.")
    assert reply.headers["Allow"] == "POST"
    assert served.ask("DELETE", "/").status == 405


def test_a_text_that_is_too_long(narrow):
    assert narrow.predict({"text": "x" * 20}).status == 200
    for body, name in (({"text": "x" * 21}, "text"), ({"texts": ["a", "x" * 21]}, "texts[1]")):
        reply = narrow.predict(body)
        assert reply.status == 422
        assert reply.detail == (
            f"{name} has 21 characters, more than 20; shorten it, or start the server with a larger --max-characters."
        )


def test_too_many_texts(narrow):
    assert narrow.predict({"texts": ["a"] * 3}).status == 200
    reply = narrow.predict({"texts": ["a"] * 4})
    assert reply.status == 422
    assert reply.detail == (
        "texts has 4 texts, more than 3; send them in several requests, or start the server with a larger --max-texts."
    )


TOO_LARGE = "The body has more than 1000 bytes; send less at once, or start the server with a larger --max-body."


def test_a_body_that_is_too_large(narrow):
    room = 1000 - len('{"text": ""}')
    assert narrow.predict({"text": "x" * room}).status == 422
    reply = narrow.predict({"text": "x" * (room + 1)})
    assert (reply.status, reply.detail) == (413, TOO_LARGE)
    assert reply.headers["Connection"] == "close"


def test_a_client_that_sends_megabytes_sees_why_they_are_refused(served):
    for _ in range(5):
        assert served.predict(b"x" * 20_000_000).status == 413


def test_a_body_without_length_is_refused_while_it_arrives(narrow):
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with narrow.connect() as connection:
        connection.sendall(head)
        for _ in range(11):
            connection.sendall(b"64\r\n" + b"x" * 100 + b"\r\n")
        # The body has not ended, and the answer is here.
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    good = b'{"text": "a"}'
    chunks = b"".join(b"1\r\n" + good[i : i + 1] + b"\r\n" for i in range(len(good)))
    answer = narrow.raw(head.replace(b"Host", b"Connection: close\r\nHost"), chunks + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_slow_body_is_given_up(narrow):
    for body in (b"", b'{"text"'):
        start = time.monotonic()
        with narrow.connect() as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n" + body)
            answer = connection.recv(65536)
        assert 0.25 < time.monotonic() - start < 5
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {
            "detail": "The body did not arrive within 0.3 seconds; "
            "send it faster or in parts, or start the server with a larger --timeout."
        }


def test_a_connection_that_sends_no_request_is_closed(served, monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    for sent in (b"", b"POST /pre", b"GET /healthz HTTP/1.1\r\nHost: a\r\n"):
        start = time.monotonic()
        assert served.raw(sent) == b""
        assert time.monotonic() - start < 5
    # The rest of a body that nobody waits for, too.
    answer = served.raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n", b"a", b"b", pause=0.05)
    assert answer.startswith(b"HTTP/1.1 405 ")


def test_large_headers_are_refused(served):
    # Only so many that the server has read them all when it closes, as the answer were lost otherwise.
    answer = served.raw(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (connection.HEAD_BYTES + 10))
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {
        "detail": f"The headers have more than {connection.HEAD_BYTES} bytes; send fewer."
    }


def test_what_is_no_http_is_refused(served):
    answer = served.raw(b"hello\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"detail": "Invalid HTTP request received; send HTTP/1.1."}


def test_a_connection_is_kept_for_the_next_request(served):
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    with served.connect() as kept:
        for _ in range(3):
            kept.sendall(request)
            answer = kept.recv(65536)
            assert answer.endswith(b'{"status":"alive"}')
            assert b"close" not in answer
        kept.sendall(request * 3)
        eventually(lambda: kept.recv(65536, socket.MSG_PEEK).count(b"alive") == 3)


def test_a_fault_is_a_500_and_the_server_goes_on(served, caplog):
    reply = served.predict({"text": "fault"})
    assert (reply.status, reply.detail) == (500, "The server failed on this request; its log says why.")
    assert "RuntimeError: a fault" in caplog.text
    assert served.predict({"text": "a"}).status == 200


@pytest.fixture(scope="module")
def guarded():
    with serving(token="s3cret-token") as running:
        yield Served(running.port)


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer s3cret",
        "Bearer s3cret-token2",
        "Basic s3cret-token",
        "s3cret-token",
        "Bearer é\xff",
    ],
)
def test_a_wrong_token_opens_nothing(guarded, header):
    for method, path in (("POST", "/predict"), ("GET", "/metrics")):
        reply = guarded.ask(method, path, {"text": "a"}, Authorization=header)
        assert reply.status == 401
        assert reply.headers["WWW-Authenticate"] == "Bearer"
        assert reply.detail.endswith("; send it in the header 'Authorization: Bearer TOKEN'.")
        assert "s3cret" not in reply.detail


def test_the_token_opens_what_it_guards(guarded):
    assert guarded.predict({"text": "a"}).detail.startswith("This server wants a token; ")
    assert guarded.predict({"text": "a"}, Authorization="Bearer x").detail.startswith("The token is not the one ")
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert guarded.predict({"text": "a"}, Authorization=f"{scheme} s3cret-token").status == 200
    assert guarded.ask("GET", "/metrics", Authorization="Bearer s3cret-token").status == 200
    for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz"):
        assert guarded.ask("GET", path).status == 200
    paths = guarded.ask("GET", "/openapi.json").json["paths"]
    for operation in (paths["/predict"]["post"], paths["/metrics"]["get"]):
        assert operation["security"] == [{"token": []}]
        refused = operation["responses"]["401"]["content"]
        assert refused == {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert list(paths["/metrics"]["get"]["responses"]["200"]["content"]) == ["text/plain"]


def test_whoever_has_no_token_is_refused_before_the_body_is_read(guarded):
    with guarded.connect() as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_many_clients_at_once(served):
    texts = [f"client {number}" for number in range(200)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda text: served.predict({"text": text}).json, texts))
    for text, answer in zip(texts, answers, strict=True):
        expected = FakeClassifier().predict_batch([text]).probabilities[0]
        assert list(answer["probabilities"].values()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["max_body", "max_texts", "max_characters", "max_waiting", "batch"])
def test_limits_leave_room_for_a_request(name):
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} is 0; it must be at least 1"):
        Limits(**{name: 0})


def test_limits_fit_together():
    with pytest.raises(InputError, match="--max-waiting is 9 and --max-texts 10; at least the texts of one request"):
        Limits(max_waiting=9, max_texts=10)
    for timeout in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"--timeout is .*; it must be above 0 and at most 3600 seconds"):
            Limits(timeout=timeout)
