"""tinylm in scikit-learn: a classifier and an encoder of texts, to cross-validate, search, pickle and put in pipelines.

Both start from what `tinylm.pretrain` made. They take texts as scikit-learn's vectorisers do: a list, an array or a
column of strings.
"""

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from rich.console import Console
from scipy.sparse import issparse

from tinylm.committee.voting import Vote
from tinylm.core.errors import InputError
from tinylm.core.extras import needed
from tinylm.core.terminal import TerminalProgress
from tinylm.runtime.loading import load, load_encoder
from tinylm.steps.base import Base, open_base
from tinylm.steps.finetune import Head, finetune
from tinylm.text.memory import columns_of, label_string, strings
from tinylm.train.settings import Precision

needed("sklearn", "tinylm.sklearn")

from sklearn.base import (  # noqa: E402
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_array, check_random_state, column_or_1d  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets, type_of_target  # noqa: E402
from sklearn.utils.validation import check_consistent_length, check_is_fitted  # noqa: E402

_SEEDS = 2**31
_SEVERAL = "multilabel-indicator"
"""scikit-learn's name of a target of several labels a text."""


class _ModelFolder:
    """Model folders below one path, pickled as the bytes of their files.

    Args:
        path: of them.
        names: of the folders, below it.
        temporary: whether it is removed with the last who holds it.
    """

    def __init__(self, path: Path, names: Iterable[str] = (".",), *, temporary: bool) -> None:
        self.path, self._names = path, tuple(names)
        if temporary:
            weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)

    @classmethod
    def new(cls) -> "_ModelFolder":
        return cls(Path(tempfile.mkdtemp(prefix="tinylm-")), temporary=True)

    def __getstate__(self) -> dict[str, bytes]:
        paths = (path for name in self._names for path in sorted((self.path / name).rglob("*")))
        return {str(path.relative_to(self.path)): path.read_bytes() for path in paths if path.is_file()}

    def __setstate__(self, files: dict[str, bytes]) -> None:
        self.__init__(Path(tempfile.mkdtemp(prefix="tinylm-")), temporary=True)  # type: ignore[misc]
        for name, content in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_bytes(content)


class _OnBase(BaseEstimator):  # type: ignore[misc]
    """An estimator of texts that starts from pre-trained members."""

    base: Base | str | Path | None
    members: int | None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    def _base(self) -> Base:
        if self.base is None:
            raise ValueError(
                f"{type(self).__name__} needs a base; give what tinylm.pretrain returned, or the folder that it wrote"
            )
        base = self.base if isinstance(self.base, Base) else open_base(self.base)
        return base.first(self.members)


class TinyLMClassifier(ClassifierMixin, _OnBase):  # type: ignore[misc]
    """Pre-trained members, fine-tuned to labels, that vote; see `tinylm.finetune`.

    A pickle holds the files of the trained model. `committee_.save(folder)` writes them, for `tinylm export` and
    `tinylm serve`.

    Args:
        base: what `tinylm.pretrain` returned, or the folder that it wrote.
        members: how many of its members to use; all when None.
        vote: `probability` averages the members' probabilities, `logit` their logits.
        head: `finetune` trains members whole, `frozen` fits a linear head on their vectors, in a moment; of the
            parameters below, a frozen head knows search, random_state and verbose alone.
        class_weight: how much each class counts, as in scikit-learn: `balanced`, or weights by class, 1 for the others.
        search: choose from held-out labels which kinds of member there are, and calibrate their vote.
        budget: wall-clock time of training one member, such as `90s`; by default 1,000 updates, in 3 epochs or more and
            50 or fewer.
        steps: number of updates, in place of a budget.
        epochs: number of passes over the texts, likewise.
        batch_size: texts an update.
        learning_rate: peak learning rate of AdamW; by default chosen from the shape of the members.
        bigrams: whether all members have bigrams; by default some do.
        word_dropout: share of words that all members drop; by default they differ.
        precision: of matrix products; `auto` measures which is faster.
        random_state: seed of every random draw; drawn from NumPy's global generator when None.
        verbose: above 0, progress on standard error.

    Attributes:
        classes_: (classes,) the labels, sorted; of several labels a text the columns of `y`: their names where it is a
            table, else their numbers.
        committee_: the trained committee, a `tinylm.Classifier`.
    """

    def __init__(
        self,
        base: Base | str | Path | None = None,
        *,
        members: int | None = None,
        vote: Vote = "probability",
        head: Head = "finetune",
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        search: bool = True,
        budget: str | None = None,
        steps: int | None = None,
        epochs: float | None = None,
        batch_size: int = 32,
        learning_rate: float | None = None,
        bigrams: bool | None = None,
        word_dropout: float | None = None,
        precision: Precision = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.base = base
        self.members = members
        self.vote = vote
        self.head = head
        self.class_weight = class_weight
        self.search = search
        self.budget = budget
        self.steps = steps
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.bigrams = bigrams
        self.word_dropout = word_dropout
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Iterable[str], y: Any, sample_weight: npt.ArrayLike | None = None) -> Self:  # noqa: N803
        """Fine-tune the members of the base.

        Args:
            X: (texts,) strings.
            y: (texts,) labels: strings, integers or truth values; or, where a text may have several, (texts, labels)
                of 0 and 1, an array, a sparse matrix or a table.
            sample_weight: (texts,) how much each text counts, at least 0; all alike when None.

        Raises:
            ValueError: bad texts or labels, no base, or settings that contradict each other.
        """
        with _value_errors():
            texts = strings(X, "X")
            several = type_of_target(y, input_name="y") == _SEVERAL
            self.classes_, labels = _of_indicators(y) if several else _of_column(y)
            check_consistent_length(texts, labels)
            names = [label_string(label, "a label in y") for label in self.classes_.tolist()]
            named = [[names[number] for number in of_text] for of_text in labels]
            if sample_weight is not None and not np.asarray(sample_weight).any():
                raise ValueError("sample_weight is zero for every text; give some of them more")
            folder = _ModelFolder.new()
            self.committee_ = finetune(
                self._base(),
                texts=texts,
                labels=named if several else [name for (name,) in named],
                sample_weight=sample_weight,
                class_weight=self._weights(names),
                output=folder.path,
                vote=self.vote,
                head=self.head,
                progress=TerminalProgress(Console(stderr=True, soft_wrap=True)) if self.verbose else None,
                seed=self._seed(),
                **{name: getattr(self, name) for name in _SETTINGS},
            )
        self._folder, self._names, self._several = folder, names, several
        return self

    def predict_proba(self, X: Iterable[str]) -> npt.NDArray[np.float32]:  # noqa: N803
        """The probability of each class: (texts, classes), in the order of `classes_`.

        Of several labels a text each has a probability by itself, and one that no text had has none.
        """
        check_is_fitted(self)
        with _value_errors():
            probabilities = self.committee_.predict_proba(strings(X, "X"))
        return self._by_class(probabilities, 0.0)

    def predict(self, X: Iterable[str]) -> npt.NDArray[Any]:  # noqa: N803
        """The most probable class of each text: (texts,); of several labels a text, (texts, labels) of 0 and 1."""
        probabilities = self.predict_proba(X)
        if self._several:
            least = self.committee_.voting.least(len(self.committee_.labels))
            return np.asarray(probabilities >= self._by_class(least[None], np.inf), dtype=np.int64)
        return np.asarray(self.classes_[probabilities.argmax(1)])

    def _by_class(self, by_label: npt.NDArray[Any], missing: float) -> npt.NDArray[Any]:
        """Columns by label of the committee, which knows those that some text had, as columns by class."""
        columns = {label: column for column, label in enumerate(self.committee_.labels)}
        padded = np.pad(by_label, ((0, 0), (0, 1)), constant_values=missing)
        return padded[:, [columns.get(name, -1) for name in self._names]]

    def _weights(self, names: Sequence[str]) -> dict[str, float] | Literal["balanced"] | None:
        """The weights by the names that the committee knows classes by."""
        if self.class_weight is None or self.class_weight == "balanced":
            return self.class_weight
        if not isinstance(self.class_weight, Mapping):
            raise ValueError(f"class_weight is {self.class_weight!r}; give 'balanced', or weights by class")
        known = dict(zip(self.classes_.tolist(), names, strict=True))
        unknown = next((label for label in self.class_weight if label not in known), None)
        if unknown is not None:
            raise ValueError(f"class_weight has {unknown!r}, which is no class of y; leave it out")
        return {known[label]: weight for label, weight in self.class_weight.items()}

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(_SEEDS))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "committee_")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "committee_"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_folder" in state:
            self.committee_ = load(self._folder.path)


class TinyLMEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _OnBase):  # type: ignore[misc]
    """The vectors of pre-trained members as features, for any estimator of scikit-learn; see `tinylm.Base.encode`.

    Nothing is learnt of the texts that it is fitted on. A pickle holds the files of the members.

    Args:
        base: what `tinylm.pretrain` returned, or the folder that it wrote.
        members: how many of its members to use, side by side; all when None.
        normalise: divide each vector by its length.

    Attributes:
        encoder_: the members, a `tinylm.Encoder`.
    """

    def __init__(
        self, base: Base | str | Path | None = None, *, members: int | None = None, normalise: bool = False
    ) -> None:
        self.base = base
        self.members = members
        self.normalise = normalise

    def fit(self, X: Any = None, y: Any = None) -> Self:  # noqa: ARG002, N803
        """Open the members; the arguments are not looked at.

        Raises:
            ValueError: no base, or not so many members.
        """
        with _value_errors():
            base = self._base()
            self.encoder_ = base.encoder
        names = [str(member.relative_to(base.folder)) for member in base.members]
        self._folder = _ModelFolder(base.folder, names, temporary=False)
        return self

    def transform(self, X: Iterable[str]) -> npt.NDArray[np.float32]:  # noqa: N803
        """The vectors of texts: (texts, features)."""
        check_is_fitted(self)
        with _value_errors():
            return self.encoder_.encode(strings(X, "X"), normalise=self.normalise)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # from strings to float32
        return tags

    @property
    def _n_features_out(self) -> int:
        return self.encoder_.width

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "encoder_")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "encoder_"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_folder" in state:
            self.encoder_ = load_encoder(self._folder.path)


_SETTINGS = (
    "search",
    "budget",
    "steps",
    "epochs",
    "batch_size",
    "learning_rate",
    "bigrams",
    "word_dropout",
    "precision",
)
"""Parameters of the classifier that are fields of `FinetuneSettings`."""


def _of_column(y: Any) -> tuple[npt.NDArray[Any], list[list[int]]]:
    """The classes of one label a text, sorted, and the number of that of each text, in a list."""
    y = column_or_1d(y, warn=True)
    check_classification_targets(y)
    classes, numbers = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y has one class only, {classes.tolist()[0]!r}; there is nothing to tell apart")
    return classes, numbers[:, None].tolist()


def _of_indicators(y: Any) -> tuple[npt.NDArray[Any], list[list[int]]]:
    """The columns of 0 and 1, and the numbers of those with a 1 of each text."""
    columns = columns_of(y)
    dense = check_array(y, accept_sparse=True, input_name="y")
    dense = dense.toarray() if issparse(dense) else dense
    classes = np.arange(dense.shape[1]) if columns is None else np.array(columns)
    return classes, [np.flatnonzero(row).tolist() for row in dense]


@contextmanager
def _value_errors() -> Iterator[None]:
    """What scikit-learn expects of bad input: a ValueError."""
    try:
        yield
    except InputError as error:
        raise ValueError(str(error)) from error
