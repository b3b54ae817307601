"""What can be chosen about a training run, by the same names in Python, on the command line and in a TOML file."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

from cyclopts import Parameter

from tinylm.core.errors import InputError
from tinylm.tokens.windows import Long
from tinylm.train.schedule import seconds_of
from tinylm.train.weights import BALANCED, ClassWeight, checked_class_weight, parse_class_weight

Precision = Literal["auto", "float32", "bfloat16"]

_SHORT_SECONDS, SHORT_STEPS = 15.0, 500
"""Training below which a process of its own is not worth its start, of some three seconds."""

_OBJECTIVE_WEIGHTS = ("mlm_weight", "bow_weight", "context_bow_weight", "infonce_weight")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What all kinds of training share; at most one of `budget`, `steps` and `epochs` says when it ends."""

    budget: str | None = None
    """Wall-clock time of training one member, such as 90s, 10m or 1h30m."""
    steps: int | None = None
    """Number of updates, for exact repeats."""
    epochs: float | None = None
    """Number of passes over the data, for exact repeats."""
    batch_size: int = 32
    """Sequences an update, over all processes."""
    gradient_accumulation_steps: int = 1
    """Parts that a batch is computed in, to save memory; the update is the same."""
    learning_rate: float | None = None
    """Peak learning rate of AdamW; by default chosen from the shape of the model."""
    warmup_fraction: float = 0.05
    """Share of training in which the learning rate rises from zero; then it falls to zero."""
    weight_decay: float = 0.01
    """Decoupled weight decay of matrices."""
    max_grad_norm: float = 1.0
    """Largest norm of the gradient."""
    dropout: float = 0.0
    """Share of features dropped."""
    precision: Precision = "auto"
    """Of matrix products; auto measures which is faster on this machine."""
    save_every: str = "2m"
    """Time between checkpoints."""
    seed: int = 0
    """Source of every random draw."""

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        ends = [name for name in ("budget", "steps", "epochs") if getattr(self, name) is not None]
        if len(ends) > 1:
            raise InputError(f"{' and '.join(ends)} both say when training ends; give only one of them")
        if self.budget is not None:
            seconds_of(self.budget)
        seconds_of(self.save_every)
        for name in ("steps", "epochs", "batch_size", "gradient_accumulation_steps", "learning_rate", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} is {value}; it must be above 0")
        for name in ("warmup_fraction", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 0 and below 1")
        if not self.weight_decay >= 0:
            raise InputError(f"weight_decay is {self.weight_decay}; it must be at least 0")
        if self.gradient_accumulation_steps > self.batch_size:
            raise InputError(
                f"gradient_accumulation_steps {self.gradient_accumulation_steps} cuts a batch of {self.batch_size} "
                "sequences into parts of less than one; lower it or raise batch_size"
            )

    @property
    def is_short(self) -> bool:
        """Whether training takes seconds whatever is trained, so that nothing is gained by a process of its own."""
        if self.budget is not None:
            return seconds_of(self.budget) < _SHORT_SECONDS
        return self.steps is not None and self.steps < SHORT_STEPS

    def ending(self, **default: Any) -> Self:
        """These settings, with `default`, one of budget, steps and epochs, where none of them says when to end."""
        if self.budget is None and self.steps is None and self.epochs is None:
            return replace(self, **default)
        return self


@dataclass(frozen=True, kw_only=True)
class PretrainSettings(TrainingSettings):
    """What a model learns from unlabelled text. Without budget, steps or epochs it takes ten minutes a member.

    The paper (arXiv 2507.14871) has truncated sequences, mlm_weight 1, and 0 for all objectives of [CLS]. The defaults
    are from docs/LOG.md, 2026-11-22 and 2026-11-23.
    """

    sequences: Literal["pairs", "packed", "truncated"] = "pairs"
    """Pairs cuts two neighbouring passages out of each document, anew each time; packed cuts whole documents into full
    sequences; truncated takes the beginning of each document."""
    batch_size: int = 128
    """Sequences an update, over all processes; a pair is two."""
    mlm_weight: float = 0.0
    """Weight of predicting masked tokens."""
    mlm_probability: float = 0.15
    """Share of tokens masked."""
    bow_weight: float = 0.5
    """Weight of predicting, from [CLS], the words of its own passage."""
    context_bow_weight: float = 0.5
    """Weight of predicting, from [CLS], the words of the neighbouring passage."""
    infonce_weight: float = 0.15
    """Weight of finding, by [CLS], the neighbouring passage among all others of the batch."""

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        super().__post_init__()
        if not 0 < self.mlm_probability < 1:
            raise InputError(f"mlm_probability is {self.mlm_probability}; it must be above 0 and below 1")
        weights = {name: getattr(self, name) for name in _OBJECTIVE_WEIGHTS}
        for name, weight in weights.items():
            if not weight >= 0:
                raise InputError(f"{name} is {weight}; it must be at least 0")
        if not self.mlm_weight + self.bow_weight + self.context_bow_weight:
            raise InputError(
                "mlm_weight, bow_weight and context_bow_weight are all 0, so no word is learnt; raise one of them"
            )
        if self.sequences == "pairs":
            if self.batch_size < 2:
                raise InputError("batch_size is 1, and a pair is 2 rows; raise it")
            return
        for name in ("context_bow_weight", "infonce_weight"):
            if weights[name]:
                raise InputError(
                    f"{self.sequences} sequences have no neighbouring passage; set {name} to 0 or sequences to pairs"
                )


@dataclass(frozen=True, kw_only=True)
class ClassificationSettings(TrainingSettings):
    """What fine-tuning and distillation have in common."""

    warmup_fraction: float = 0.1
    dropout: float = 0.1
    word_dropout: float | None = None
    """Share of the words of a text that are dropped, drawn anew each time it is read; by default chosen from the
    number of texts."""

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        super().__post_init__()
        if self.word_dropout is not None and not 0 <= self.word_dropout < 1:
            raise InputError(f"word_dropout is {self.word_dropout}; it must be at least 0 and below 1")


def _class_weight(_: Any, tokens: Any) -> Any:
    """What stands on the command line or in a TOML file: words, or a table with a word a label."""
    if isinstance(tokens, Mapping):
        return {label: found[0].value for label, found in tokens.items()}
    return tuple(token.value for token in tokens)


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(ClassificationSettings):
    """Classification. Without budget, steps or epochs it takes 1,000 updates, in 3 epochs or more and 50 or fewer."""

    bigrams: Annotated[bool | None, Parameter(negative="no-bigrams")] = None
    """Give the pairs of neighbouring tokens that recur in the training texts vectors of their own. By default some
    members do and some do not, and they drop different shares of words; this or word_dropout, set, is for all."""
    characters: Annotated[bool | None, Parameter(negative="no-characters")] = None
    """Let pieces of the vocabulary that have characters in common learn together, which costs nothing afterwards; by
    default where there are 2,000 training texts or more."""
    search: Annotated[bool, Parameter(negative="no-search")] = True
    """Choose from held-out labels of the task which kinds of member there are, and calibrate their vote; otherwise they
    take turns."""
    class_weight: Annotated[ClassWeight | None, Parameter(converter=_class_weight, n_tokens=1, negative=())] = None
    """How much each label counts: balanced gives all the same say, whatever their rows; otherwise label=weight, once a
    label, or a .toml or .json file. Labels that are not named have the weight 1."""
    long: Long = "windows"
    """What to do with texts that are longer than what members read at once, 128 tokens: read all of a text in windows
    of that, and average what is said of them; truncate it; or train members that read 1,024 tokens at once."""
    label_smoothing: float = 0.1
    """Share of the target given to all classes alike (Szegedy et al., 2016, section 7)."""
    head_lr_multiplier: float = 5.0
    """Learning rate of pooler and classifier, which start from nothing, as a multiple of the others'."""
    validation_fraction: float = 0.1
    """Share of the training examples that is not trained on but measured on."""

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        super().__post_init__()
        if isinstance(self.class_weight, Mapping):
            object.__setattr__(self, "class_weight", checked_class_weight(self.class_weight))
        elif self.class_weight is not None and self.class_weight != BALANCED:
            words = (self.class_weight,) if isinstance(self.class_weight, str) else self.class_weight
            object.__setattr__(self, "class_weight", parse_class_weight(words))
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"label_smoothing is {self.label_smoothing}; it must be at least 0 and below 1")
        if not self.head_lr_multiplier > 0:
            raise InputError(f"head_lr_multiplier is {self.head_lr_multiplier}; it must be above 0")
        if not 0 < self.validation_fraction < 1:
            raise InputError(f"validation_fraction is {self.validation_fraction}; it must be above 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class DistillSettings(ClassificationSettings):
    """Distillation of a committee. Without budget, steps or epochs it takes 3,000 updates."""

    batch_size: int = 64
