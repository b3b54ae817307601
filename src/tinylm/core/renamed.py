"""Settings that had other names in earlier versions: refused where they are given, understood where they are stored."""

from collections.abc import Iterable, Mapping
from typing import Any

from tinylm.core.errors import InputError

RENAMED = {
    "accumulation": "gradient_accumulation_steps",
    "bag_of_words": "bow_weight",
    "clip": "max_grad_norm",
    "contrast": "infonce_weight",
    "head_rate": "head_lr_multiplier",
    "mask_rate": "mlm_probability",
    "masked_tokens": "mlm_weight",
    "max_loss": "max_accuracy_drop",
    "neighbour_words": "context_bow_weight",
    "rows": "sequences",
    "validation": "validation_fraction",
    "warmup": "warmup_fraction",
}
"""Old name to new."""

_VALUES = {("sequences", "first"): "truncated"}
"""Setting and old value to the new value."""


def refuse_old_names(names: Iterable[str], place: str = "") -> None:
    """Refuse settings by their old names.

    Args:
        names: as they were given; of `finetune.clip` and `--finetune.clip` the last part counts.
        place: where they stand, for the message: `"settings.toml: "`.

    Raises:
        InputError: one is an old name; the message has the new one, written alike.
    """
    for name in names:
        before, dot, last = name.removeprefix("--").rpartition(".")
        new = RENAMED.get(last.replace("-", "_"))
        if new is not None:
            dashes = "--" if name.startswith("--") else ""
            written = new.replace("_", "-") if dashes or "-" in last else new
            raise InputError(f"{place}{name} is now called {dashes}{before}{dot}{written}; use that name")


def with_current_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Stored settings under the names and with the values of today."""
    renamed = {RENAMED.get(name, name): value for name, value in settings.items()}
    return {name: _current(name, value) for name, value in renamed.items()}


def _current(name: str, value: Any) -> Any:
    return _VALUES.get((name, value), value) if isinstance(value, str) else value
