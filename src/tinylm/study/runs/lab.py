"""Where runs are made: corpora, vocabularies, tasks and the store, each opened once a process."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tinylm.core.errors import InputError
from tinylm.core.problems import SEVERAL_LABELS
from tinylm.core.progress import Progress
from tinylm.model.config import ModelConfig
from tinylm.study.grid import Facts, run_name
from tinylm.study.runs.run_folders import RunFolders
from tinylm.study.runs.shapes import scaled
from tinylm.text.corpus import Corpus, open_corpus
from tinylm.text.known import DATA_SETS
from tinylm.text.sources import load_task
from tinylm.text.splits import Examples, Task, choose_whole_groups, sample_per_label, task_fingerprint
from tinylm.tokens.encoding import tokenise
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.overlap import TaskTokens
from tinylm.tokens.token_file import TokenFile
from tinylm.tokens.vocabulary import corpus_tokenizer
from tinylm.tokens.wordpiece import Tokenizer

VOTES = "votes.npz"
_EVERY_ROW = 10**9


@dataclass(frozen=True)
class Text:
    """A corpus and the vocabulary it is read with."""

    corpus: str
    """A source as `open_corpus` takes it."""
    vocabulary: str | None
    """A vocabulary as `load_tokenizer` takes it; trained on the corpus when None."""


@dataclass(frozen=True)
class Sample:
    """A task and how much of it is used."""

    task: str
    """A source as `load_task` takes it."""
    labels: int | None = None
    """Training texts of each label; all, or the paper's number, when None."""
    validation: int = 50
    """Texts of each label that settings are chosen by, never trained on; no more than a fifth."""
    test: int | None = None
    """Test texts of each label; all, or the paper's number, when None."""


@dataclass(frozen=True)
class SampledTask:
    """A sample of a task."""

    task: Task
    """With the training texts, and one more of each label, which fine-tuning holds out; and the test part."""
    validation: Examples
    """To choose settings by."""


@dataclass(frozen=True)
class Lab:
    """Where runs are made."""

    store: RunFolders
    data_dir: str | None = None
    """Folder of data sets, else that of TINYLM_DATA."""

    def corpus(self, text: Text) -> Corpus:
        """The documents."""
        return _corpus(text.corpus, self.data_dir)

    def prepare(self, text: Text, progress: Progress) -> None:
        """Make vocabulary and token file where they are not there yet, which takes a minute for 100,000 documents."""
        if text.vocabulary is None:
            corpus_tokenizer(self.corpus(text), progress=progress)
        tokenise(self.corpus(text), self.tokenizer(text), progress=progress)

    def tokenizer(self, text: Text) -> Tokenizer:
        """The vocabulary."""
        return _tokenizer(text, self.data_dir)

    def tokens(self, text: Text) -> TokenFile:
        """All documents as ids, made once and kept in tinylm's cache."""
        return _tokens(text, self.data_dir)

    def text_facts(self, text: Text) -> Facts:
        """What identifies corpus and vocabulary, whatever they are called."""
        return {"corpus": self.corpus(text).fingerprint, "vocabulary": self.tokenizer(text).fingerprint}

    def shape(self, name: str, width: int, text: Text) -> ModelConfig:
        """A preset at a width, with the pieces of the vocabulary."""
        return scaled(name, width, self.tokenizer(text).vocab_size)

    def task(self, sample: Sample, seed: int) -> SampledTask:
        """The sample of a seed."""
        return _sampled(sample, self.data_dir, seed)

    def unlabelled(self, sample: Sample, seed: int) -> tuple[str, ...]:
        """All training texts of a task, sampled or not; their labels are not to be used."""
        return _loaded(sample.task, self.data_dir, _EVERY_ROW, sample.test, seed).train.texts

    def task_facts(self, sample: Sample, seed: int) -> Facts:
        """What identifies a sample: a hash of its texts, with its name for people."""
        return {"task": sample.task, "labels": sample.labels, "texts": _texts_fingerprint(sample, self.data_dir, seed)}

    def task_tokens(self, task: str, text: Text, seed: int) -> TaskTokens:
        """Tokens of all training texts of a task, which overlap is measured with; the test part is not looked at."""
        return _task_tokens(Sample(task), text, self, seed)

    def measured(self, facts: Facts) -> Facts | None:
        """What was measured of a run; None where it is not stored or failed."""
        entry = self.store.find(run_name(facts))
        return None if entry is None else entry.get("measured")

    def votes(self, facts: Facts) -> Mapping[str, npt.NDArray[np.floating]]:
        """Arrays that a fine-tuned member left: `test` and `validation`, (texts, classes); `labels`, (texts,)."""
        with np.load(self.store.folder(run_name(facts)) / VOTES) as stored:
            return {name: stored[name] for name in stored.files}


@lru_cache(maxsize=4)
def _corpus(source: str, data_dir: str | None) -> Corpus:
    return open_corpus(source, data_dir=data_dir)


@lru_cache(maxsize=4)
def _tokenizer(text: Text, data_dir: str | None) -> Tokenizer:
    if text.vocabulary is None:
        return corpus_tokenizer(_corpus(text.corpus, data_dir))
    return load_tokenizer(text.vocabulary, data_dir)


@lru_cache(maxsize=2)
def _tokens(text: Text, data_dir: str | None) -> TokenFile:
    return tokenise(_corpus(text.corpus, data_dir), _tokenizer(text, data_dir))


@lru_cache(maxsize=16)
def _loaded(task: str, data_dir: str | None, train: int | None, test: int | None, seed: int) -> Task:
    return load_task(task, data_dir=data_dir, train_per_label=train, test_per_label=test, seed=seed)


@lru_cache(maxsize=64)
def _sampled(sample: Sample, data_dir: str | None, seed: int) -> SampledTask:
    known = DATA_SETS.get(sample.task)
    most = known.train_per_label if known is not None else None
    # One sample to take the validation texts of, whatever the number of labels, so that these are always the same.
    drawn = None if most is None else most + 1 + sample.validation
    task = _loaded(sample.task, data_dir, drawn, sample.test, seed)
    if task.problem_type == SEVERAL_LABELS:
        raise InputError(
            f"{sample.task} has several labels a text, and studies are of tasks with one; name another task"
        )
    counts = Counter(task.train.labels.tolist())
    # Rows beyond the training sample are free; of a task that has none left, a fifth is spared.
    spare = {label: max(count // 5, 0 if most is None else count - most - 1) for label, count in counts.items()}
    shares = {label: max(1, min(sample.validation, spare[label])) for label in counts}
    held = choose_whole_groups(task.train.labels, task.train.texts, shares, seed)
    validation, rest = task.train.take(np.flatnonzero(held)), task.train.take(np.flatnonzero(~held))
    wanted = most if sample.labels is None else sample.labels
    kept = sample_per_label(rest.labels, None if wanted is None else wanted + 1, seed, "labels")
    train = rest.take(kept)
    fewest = min(Counter(train.labels.tolist()).values())
    if fewest < 2 or (sample.labels is not None and fewest < sample.labels + 1):
        raise InputError(
            f"{sample.task} leaves a label {fewest} training texts beside those for validation, and {sample.labels} "
            "and one more are needed; ask for fewer labels or fewer validation texts"
        )
    fingerprint = task_fingerprint(task.labels, train, task.test)
    return SampledTask(replace(task, train=train, fingerprint=fingerprint), validation)


@lru_cache(maxsize=1024)
def _texts_fingerprint(sample: Sample, data_dir: str | None, seed: int) -> str:
    drawn = _sampled(sample, data_dir, seed)
    return task_fingerprint(drawn.task.labels, drawn.task.train, drawn.validation, drawn.task.test)


@lru_cache(maxsize=16)
def _task_tokens(sample: Sample, text: Text, lab: Lab, seed: int) -> TaskTokens:
    return TaskTokens.of(lab.task(sample, seed).task.train.texts, lab.tokenizer(text))
