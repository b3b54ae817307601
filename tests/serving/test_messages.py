"""The server with a model: it gives what the model gives, and the command line starts it."""

import json
import re
import signal
import subprocess
from dataclasses import asdict

import numpy as np
import pytest
from cli_fixtures import TINYLM, environment
from server_fixtures import FakeClassifier, Served, serving
from voters import LABELS, write_voters

from tinylm.runtime.loading import load
from tinylm.serving import messages


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    return write_voters(tmp_path_factory.mktemp("served") / "model", [(tokenizer, {}), (tokenizer, {"layers": 2})])


def assert_same(given: dict, answers, index: int) -> None:
    """A prediction says what the arrays say, up to what the company in a batch changes."""
    assert list(given["probabilities"]) == list(LABELS)
    np.testing.assert_allclose(list(given["probabilities"].values()), answers.probabilities[index], atol=1e-5)
    votes = [list(vote.values()) for vote in given["votes"]]
    np.testing.assert_allclose(votes, answers.votes[:, index], atol=1e-5)
    assert given["tokens"] == answers.tokens[index]
    assert given["disagreement"] == pytest.approx(answers.disagreement[index], abs=1e-4)


def test_it_gives_what_the_model_gives(folder, documents):
    classifier = load(folder)
    texts = [*documents[:50], "", "\x00", "😀", "x" * 5000]
    expected = classifier.predict_batch(texts)
    with serving(classifier, batch=16) as served:
        given = served.predict({"texts": texts}).json["predictions"]
        for index, prediction in enumerate(given):
            assert_same(prediction, expected, index)
        for index in (0, 7, 50, 51, 53):
            assert_same(served.predict({"text": texts[index]}).json, expected, index)
            explained = served.predict({"text": texts[index], "explain": True}).json
            assert_same(explained, expected, index)
            weights = [word["weight"] for word in explained["words"]]
            assert sum(weights) + explained["special"] == pytest.approx(1, abs=1e-5)
            assert all(0 <= word["start"] < word["end"] <= len(texts[index]) for word in explained["words"])


@pytest.mark.slow
def test_the_command_line_serves_it(folder, documents):
    expected = load(folder).predict_batch(documents[:3])
    child = subprocess.Popen(
        [TINYLM, "serve", folder, "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert child.stderr.readline().startswith("2 member(s) vote on 3 label(s): one, two, three")
        served = Served(int(re.search(r":(\d+);", child.stderr.readline())[1]))
        for index, text in enumerate(documents[:3]):
            assert_same(served.predict({"text": text}).json, expected, index)
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0
        assert child.stderr.read() == ""
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


def test_prediction_message_has_the_fields_of_predict_json():
    answers = FakeClassifier().predict_batch(["printer is jammed", "wifi"])
    lines = [json.loads(json.dumps(asdict(prediction))) for prediction in answers.one_by_one()]
    assert lines == [message.model_dump(exclude_unset=True) for message in messages.predictions(answers)]
    assert all(len(line["votes"]) == 3 and sum(line["votes"][0].values()) == pytest.approx(1) for line in lines)
