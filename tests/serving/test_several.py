"""A server of several labels a text answers with a list of labels, one of one label with what it always did."""

from server_fixtures import LABELS, FakeClassifier, serving


def test_labels_stand_in_place_of_the_label():
    with serving(FakeClassifier(thresholds=(0.3, 0.3, 0.3))) as served:
        one = served.predict({"text": "no signal"}).json
        reached = {label for label, share in one["probabilities"].items() if share >= 0.3}
        assert set(one["labels"]) == reached
        assert list(one["labels"]) == sorted(one["labels"], key=one["probabilities"].get, reverse=True)
        assert not {"label", "probability"} & one.keys()
        many = served.predict({"texts": ["no signal", "jammed"]}).json["predictions"]
        assert many[0]["labels"] == one["labels"] and "label" not in many[1]
        explained = served.predict({"text": "no signal", "explain": True}).json
        assert explained["labels"] == one["labels"] and explained["words"]


def test_one_label_a_text_is_answered_as_ever():
    with serving(FakeClassifier()) as served:
        answer = served.predict({"text": "no signal"}).json
        assert answer["label"] in LABELS and "labels" not in answer
        assert answer.keys() == {
            "label",
            "probability",
            "probabilities",
            "disagreement",
            "votes",
            "tokens",
            "truncated",
            "ngrams",
            "milliseconds",
        }
