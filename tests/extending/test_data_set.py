"""A data set known by name, with a format of its own, added from outside and run end to end."""

import tinylm
from tinylm.evaluation.committees import evaluate_committee
from tinylm.evaluation.examples import examples_to_evaluate
from tinylm.text.known import DATA_SETS, KnownDataSet
from tinylm.text.labelled import LabelledRows


def read_weather(folder):
    """Rows of `weather.txt`, written `label: text`; there is no test part."""
    rows = LabelledRows(str(folder / "weather.txt"))
    for number, line in enumerate((folder / "weather.txt").read_text(encoding="utf-8").splitlines(), start=1):
        label, _, text = line.partition(": ")
        rows.add(text, label, f"weather.txt, line {number}")
    return rows, None


WEATHER = KnownDataSet("weather", train_per_label=20, test_per_label=10, reader=read_weather)


def test_a_data_set_added_by_name_is_trained_on_and_evaluated(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(DATA_SETS, WEATHER.name, WEATHER)
    lines = [f"{label}: {word} on day {day}" for day in range(40) for label, word in (("wet", "rain"), ("dry", "sun"))]
    (tmp_path / "data" / "weather").mkdir(parents=True)
    (tmp_path / "data" / "weather" / "weather.txt").write_text("\n".join(lines), encoding="utf-8")
    source = tinylm.TaskSource("weather", data_dir=str(tmp_path / "data"))

    base = tinylm.pretrain(lines, preset="bert-1-w128", steps=2, batch_size=8)
    tinylm.finetune(base, source, output=tmp_path / "model", steps=60, learning_rate=1e-3)

    model = tinylm.load(tmp_path / "model")
    examples = examples_to_evaluate(tmp_path / "model", model.labels, source, None)
    assert (len(examples), model.labels) == (20, ("dry", "wet"))
    assert evaluate_committee(model, examples).committee.accuracy > 0.9
