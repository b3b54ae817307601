"""What is counted adds up to what was asked."""

import pytest
from server_fixtures import FakeClassifier, serving


@pytest.fixture
def served():
    with serving(FakeClassifier(), max_texts=10) as running:
        yield running


def test_counts_add_up(served):
    texts = ["a b c", "d", "e f"]
    disagreements = []
    for text in texts:
        disagreements.append(served.predict({"text": text}).json["disagreement"])
    disagreements.append(served.predict({"text": "g h", "explain": True}).json["disagreement"])
    many = served.predict({"texts": texts * 3}).json["predictions"]
    disagreements += [prediction["disagreement"] for prediction in many]
    served.predict(b"no json")
    served.predict({"texts": texts * 4})
    served.predict({"text": "fault"})
    served.ask("GET", "/nothing")
    served.ask("GET", "/other")
    served.ask("DELETE", "/predict")
    found = served.metrics()
    expected = {
        'requests_total{path="/predict",status="200"}': 5,
        'requests_total{path="/predict",status="400"}': 1,
        'requests_total{path="/predict",status="422"}': 1,
        'requests_total{path="/predict",status="500"}': 1,
        'requests_total{path="/predict",status="405"}': 1,
        'requests_total{path="other",status="404"}': 2,
        "failures_total": 1,
        "texts_total": 13,
        "tokens_total": 4 * sum(len(text.split()) + 2 for text in texts) + 4,
        "batch_texts_count": 6,
        "batch_texts_sum": 14,
        'batch_texts_bucket{le="1.0"}': 5,
        "disagreement_nats_count": 13,
        "disagreement_nats_sum": sum(disagreements),
        'request_seconds_count{path="/predict"}': 9,
        'request_seconds_count{path="other"}': 2,
    }
    assert {name: found[f"tinylm_{name}"] for name in expected} == pytest.approx(expected)
    assert served.metrics()['tinylm_requests_total{path="/metrics",status="200"}'] == 1


def test_latencies_are_in_seconds(served):
    served.predict({"text": "a"})
    found = served.metrics()
    seconds = found['tinylm_request_seconds_sum{path="/predict"}']
    assert 1e-5 < seconds < 1
    for edge in ("0.0001", "0.001", "0.01", "0.1", "1.0"):
        bucket = found[f'tinylm_request_seconds_bucket{{le="{edge}",path="/predict"}}']
        assert bucket == (seconds <= float(edge))


def test_the_page_is_prometheus_text(served):
    reply = served.ask("GET", "/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain; version=")
    assert "# TYPE tinylm_texts_total counter" in reply.body.decode()


def test_two_servers_count_apart(served):
    with serving() as other:
        other.predict({"text": "a"})
        assert other.metrics()["tinylm_texts_total"] == 1
        assert served.metrics()["tinylm_texts_total"] == 0
