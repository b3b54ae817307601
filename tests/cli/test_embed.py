"""`tinylm embed` writes the vectors that `encode` gives, in the order of the file."""

import json

import numpy as np
import pytest
from cli_fixtures import call, rows, write_csv
from pyarrow import parquet
from voters import write_voters

from tinylm.runtime import embedding
from tinylm.runtime.loading import load_encoder

TEXTS = [text for text, _ in rows(60, 1)]


@pytest.fixture(scope="module")
def desk(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    write_voters(folder / "model", [(tokenizer, {})] * 2)
    write_csv(folder / "texts.csv", [(str(row), text) for row, text in enumerate(TEXTS)], ("id", "note"))
    (folder / "texts.txt").write_text("".join(f"{text}\n" for text in [*TEXTS, ""]))
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return folder


@pytest.mark.parametrize("block", [embedding._BLOCK, 7])
def test_an_array_and_a_table(desk, tmp_path, monkeypatch, block):
    monkeypatch.setattr(embedding, "_BLOCK", block)
    expected = load_encoder(desk / "model").encode(TEXTS)
    ran = call("embed", desk / "model", "--file", desk / "texts.csv", "--text-column", "note", "-o", tmp_path / "v.npy")
    assert (ran.code, ran.out) == (0, f"60 vectors of 32 features in {tmp_path / 'v.npy'}\n")
    written = np.load(tmp_path / "v.npy")
    assert written.dtype == np.float32
    np.testing.assert_allclose(written, expected, atol=1e-6)
    assert call("embed", desk / "model", "-f", desk / "texts.jsonl", "-o", tmp_path / "v.parquet").code == 0
    table = parquet.read_table(tmp_path / "v.parquet")
    assert table.column_names == ["text", "vector"] and table["text"].to_pylist() == TEXTS
    np.testing.assert_allclose(np.stack(table["vector"].to_pylist()), expected, atol=1e-6)


def test_an_empty_line_keeps_its_place_and_vectors_are_normalised_on_request(desk, tmp_path):
    arguments = ("embed", desk / "model", "-f", desk / "texts.txt", "--normalise", "-o", tmp_path / "v.npy")
    assert call(*arguments).code == 0
    expected = load_encoder(desk / "model").encode([*TEXTS, ""], normalise=True)
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), expected, atol=1e-6)


def test_how_many_texts_are_not_read_whole_is_said_once(desk, tmp_path):
    (tmp_path / "long.txt").write_text("".join(f"{text}\n" for text in [*TEXTS, " ".join(TEXTS), " ".join(TEXTS[1:])]))
    ran = call("embed", desk / "model", "-f", tmp_path / "long.txt", "-o", tmp_path / "v.npy")
    assert ran.code == 0 and ran.err.count("2 of 62 texts are longer than 32 tokens; what follows is not read") == 1


def test_a_file_in_another_encoding(desk, tmp_path):
    texts = ["café bleu", "paper jam"]
    for name, encoding in (("plain.txt", "utf-8"), ("other.txt", "cp1252")):
        (tmp_path / name).write_text("\n".join(texts), encoding=encoding)
    arguments = ("embed", desk / "model", "-f")
    assert call(*arguments, tmp_path / "plain.txt", "-o", tmp_path / "plain.npy").code == 0
    refused = call(*arguments, tmp_path / "other.txt", "-o", tmp_path / "other.npy")
    assert refused.code == 2 and "is not UTF-8; name what it is with --encoding" in refused.err
    ran = call(*arguments, tmp_path / "other.txt", "--encoding", "cp1252", "-o", tmp_path / "other.npy")
    assert ran.code == 0, ran.err
    np.testing.assert_array_equal(np.load(tmp_path / "other.npy"), np.load(tmp_path / "plain.npy"))
