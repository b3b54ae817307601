"""Vectors of texts: a base, a committee and an export give what `transformers` gives at [CLS]."""

import json
import shutil

import numpy as np
import onnx
import pytest
import torch
from voters import write_member, write_voters

from tinylm.committee.files import read_committee, write_committee
from tinylm.core.errors import InputError
from tinylm.model.checkpoint import load_classifier, save_model
from tinylm.model.config import ModelConfig
from tinylm.model.heads import MaskedLanguageModel, initialise
from tinylm.runtime.loading import load, load_encoder
from tinylm.steps.base import open_base
from tinylm.steps.export import export
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.vocabulary import train_tokenizer
from tinylm.tokens.windows import most_windows

TEXTS = ["", "one text", "another text, of some more words"]


@pytest.fixture(scope="module")
def base(tokenizer, tmp_path_factory):
    """Two pre-trained members, of one and of two layers."""
    folder = tmp_path_factory.mktemp("base")
    for index in range(2):
        shape = ModelConfig(
            vocab_size=tokenizer.vocab_size,
            hidden_size=16,
            layers=index + 1,
            heads=2,
            intermediate_size=32,
            positions=32,
        )
        model = MaskedLanguageModel(shape)
        initialise(model, index)
        (folder / f"member-{index}").mkdir()
        save_model(folder / f"member-{index}", model, tokenizer)
    return folder


@pytest.fixture(scope="module")
def committee(tokenizer, documents, tmp_path_factory):
    """Members of several widths, depths and vocabularies, one with bigrams."""
    other = train_tokenizer(documents, 70)
    members = [(tokenizer, {}), (other, {"layers": 2}), (tokenizer, {"hidden_size": 32, "bigrams": 9})]
    return write_voters(tmp_path_factory.mktemp("committee"), members)


def by_transformers(folder, texts):
    """(texts, width) of one member, a text at a time."""
    import transformers

    model = transformers.AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    encoded = EncodedTexts(texts, load_tokenizer(folder), model.config.max_position_embeddings, most_windows("windows"))
    return window_means(encoded, lambda row: model(row).last_hidden_state[:, 0])


def by_torch(folder, texts):
    """(texts, width) of one fine-tuned member."""
    model = load_classifier(folder)[0].eval()
    encoded = EncodedTexts(texts, load_tokenizer(folder), model.config.positions)
    return window_means(encoded, lambda row: model.encoder(row, None, torch.zeros(1, 1, dtype=torch.long))[:, 0])


def window_means(encoded, vector):
    """The mean of the vectors of each text's windows: (texts, width)."""
    with torch.inference_mode():
        rows = [torch.from_numpy(encoded.fetch(np.array([index]))) for index in range(len(encoded))]
        vectors = np.concatenate([vector(row).numpy() for row in rows])
    ends = np.cumsum(encoded.windows)
    return np.stack([vectors[end - count : end].mean(0) for end, count in zip(ends, encoded.windows, strict=True)])


def test_a_base_gives_what_transformers_gives(base, documents):
    texts = [*TEXTS, *documents[:299], " ".join(documents[:9])]
    vectors = open_base(base).encode(texts)
    assert vectors.dtype == np.float32 and vectors.shape == (303, 32)
    expected = [by_transformers(base / f"member-{index}", texts) for index in range(2)]
    np.testing.assert_allclose(vectors, np.concatenate(expected, axis=1), atol=1e-5)
    np.testing.assert_array_equal(load_encoder(base).encode(texts), vectors)
    np.testing.assert_array_equal(load_encoder(base / "member-1").encode(texts), vectors[:, 16:])
    np.testing.assert_array_equal(open_base(base).first(1).encode(texts), vectors[:, :16])


def test_a_committee_gives_the_vectors_of_its_members_side_by_side(committee, documents):
    vectors = load(committee).encode(documents[:60])
    expected = [by_torch(committee / f"member-{index}", documents[:60]) for index in range(3)]
    np.testing.assert_allclose(vectors, np.concatenate(expected, axis=1), atol=1e-5)
    np.testing.assert_array_equal(load_encoder(committee).encode(documents[:60]), vectors)


def test_of_long_texts_a_committee_encodes_what_it_classifies(committee, documents, tmp_path):
    shutil.copytree(committee, tmp_path / "whole")
    stored = read_committee(committee)
    write_committee(tmp_path / "whole", stored.members, stored.labels, stored.voting, "windows")
    long = [" ".join(documents[number : number + 9]) for number in range(0, 90, 9)]
    beginnings, whole = load(committee), load(tmp_path / "whole")
    words = [" ".join(text.split()[:30]) for text in long]
    np.testing.assert_allclose(beginnings.encode(long), beginnings.encode(words), atol=1e-6)
    assert (np.abs(whole.encode(long) - beginnings.encode(long)).max(1) > 1e-2).all()
    np.testing.assert_array_equal(load_encoder(tmp_path / "whole").encode(long), whole.encode(long))
    assert beginnings.encoder.count_truncated([*long, *TEXTS]) == len(long)
    assert whole.encoder.count_truncated([*long, *TEXTS]) == 0


@pytest.mark.parametrize("members", [1, 3])
def test_an_export_gives_them_too(committee, documents, tmp_path, members):
    model = committee if members == 3 else committee / "member-0"
    export(model, tmp_path / "artefact")
    exported = load(tmp_path / "artefact", threads=2)
    np.testing.assert_allclose(exported.encode(documents[:60]), load(model).encode(documents[:60]), atol=1e-5)
    np.testing.assert_array_equal(load_encoder(tmp_path / "artefact").encode(TEXTS), exported.encode(TEXTS))


def test_one_a_collection_and_a_stream(committee, documents):
    encoder = load_encoder(committee)
    vectors = encoder.encode(documents[:300])
    np.testing.assert_allclose(encoder.encode(documents[0]), vectors[0], atol=1e-6)
    streamed = encoder.encode(text for text in documents[:300])
    np.testing.assert_allclose(next(streamed), vectors[0], atol=1e-6)
    assert len([*streamed]) == 299
    assert encoder.encode([]).shape == (0, encoder.width) == (0, 64)
    with pytest.raises(InputError, match="text 2 is NoneType, not a string; give strings"):
        encoder.encode(["a", None])  # type: ignore[list-item]


def test_normalised_vectors_have_length_one_and_the_same_direction(committee):
    encoder = load_encoder(committee)
    plain, normalised = encoder.encode(TEXTS), encoder.encode(TEXTS, normalise=True)
    np.testing.assert_allclose(np.linalg.norm(normalised, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(normalised * np.linalg.norm(plain, axis=1, keepdims=True), plain, atol=1e-5)


def test_an_export_of_before_there_were_vectors_still_predicts_and_says_why_it_gives_none(committee, tmp_path):
    export(committee, tmp_path / "artefact")
    expected = load(tmp_path / "artefact").predict_proba(TEXTS)
    path = tmp_path / "artefact" / "committee.onnx"
    graph = onnx.load(path)
    for output in [output for output in graph.graph.output if output.name.startswith("vectors")]:
        graph.graph.output.remove(output)
    onnx.save(graph, path)
    old = load(tmp_path / "artefact")
    np.testing.assert_array_equal(old.predict_proba(TEXTS), expected)
    with pytest.raises(InputError, match="was exported by a tinylm whose exports give no vectors; export it again"):
        old.encode(TEXTS)


def test_what_holds_no_model_is_said(base, tmp_path):
    with pytest.raises(InputError, match="holds no model; give the folder that `tinylm pretrain`"):
        load_encoder(tmp_path)
    with pytest.raises(InputError, match="threads is 0; it must be at least 1"):
        load_encoder(base, threads=0)
    shutil.copytree(base / "member-0", tmp_path / "broken")
    config = json.loads((tmp_path / "broken/config.json").read_text())
    (tmp_path / "broken/config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
    with pytest.raises(InputError, match=r"does not fit the Encoder that its config.json describes: it lacks bert.enc"):
        load_encoder(tmp_path / "broken")


def test_a_single_classifier_gives_vectors(tokenizer, documents, tmp_path):
    write_member(tmp_path / "one", tokenizer, 0)
    texts = [*TEXTS, *documents[:60]]
    np.testing.assert_array_equal(load(tmp_path / "one").encode(texts), load_encoder(tmp_path / "one").encode(texts))


@pytest.mark.parametrize("member", ["member-0", "member-1", "classifier"])
def test_sentence_transformers_opens_a_member_with_the_same_vectors(base, tokenizer, documents, tmp_path, member):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    write_member(tmp_path / "classifier", tokenizer, 0)
    folder = base / member if "member" in member else tmp_path / member
    # Of a longer text it reads the beginning alone.
    texts = [*TEXTS, *(" ".join(text.split()[:9]) for text in documents[:60])]
    opened = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_allclose(opened.encode(texts), load_encoder(folder).encode(texts), atol=1e-5)


def test_a_member_without_a_counterpart_in_transformers_does_not_pretend(committee):
    assert (committee / "member-0/modules.json").is_file() and not (committee / "member-2/modules.json").exists()
