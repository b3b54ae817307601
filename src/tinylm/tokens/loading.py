"""Loading a vocabulary of WordPiece or Unigram: from a folder, a file or the hub."""

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import tokenizers

from tinylm.core.errors import InputError
from tinylm.text.hub import retries_said_once
from tinylm.text.known import local_folder
from tinylm.tokens.wordpiece import CONFIG_FILE, TOKENIZER_FILE, Tokenizer, wordpiece

_NORMALISATION = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "split_chinese",
}
"""Settings of transformers' BertTokenizer, and the arguments of `wordpiece` that they are."""

_HUB_NAMES = {"bert-base-uncased": "google-bert/bert-base-uncased"}


def load_tokenizer(name_or_path: str | Path, data_dir: str | Path | None = None) -> Tokenizer:
    """Load a vocabulary.

    Args:
        name_or_path: a folder with `tokenizer.json` or `vocab.txt`, one of these files, or a name on the
            hub such as `bert-base-uncased`.
        data_dir: where a name is looked for, else in `TINYLM_DATA`, else on the hub.

    Raises:
        InputError: it is not there, is no WordPiece or Unigram vocabulary with BERT's special tokens, or the hub
            cannot be reached.
    """
    path = Path(name_or_path)
    if path.exists():
        return _from_file(_vocabulary_file(path) if path.is_dir() else path)
    name = str(name_or_path)
    folder = local_folder(name, data_dir)
    if folder is not None:
        return _from_file(_vocabulary_file(folder))
    try:
        with retries_said_once():
            return _from_file(Path(huggingface_hub.hf_hub_download(_HUB_NAMES.get(name, name), TOKENIZER_FILE)))
    # The hub's client lets errors of its own, of its HTTP library and of the system through.
    except Exception as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{name} is no vocabulary on this machine and cannot be fetched from the hub "
            f"({type(error).__name__}); give a folder, a tokenizer.json or a vocab.txt"
        ) from error


def _vocabulary_file(folder: Path) -> Path:
    found = next((folder / name for name in (TOKENIZER_FILE, "vocab.txt") if (folder / name).is_file()), None)
    if found is None:
        raise InputError(
            f"{folder} has neither {TOKENIZER_FILE} nor vocab.txt; give the folder of a model or vocabulary"
        )
    return found


def _from_file(path: Path) -> Tokenizer:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); give a tokenizer.json or a vocab.txt") from error
    if path.suffix == ".txt":
        vocabulary = {piece: i for i, piece in enumerate(text.removesuffix("\n").split("\n"))}
        return Tokenizer(wordpiece(vocabulary, **_normalisation(path.with_name(CONFIG_FILE))), str(path))
    try:
        kind = json.loads(text)["model"]["type"]
        backend = tokenizers.Tokenizer.from_str(text)
    # What `tokenizers` raises for a file that it cannot parse is a bare Exception.
    except Exception as error:
        raise InputError(f"{path} is no readable vocabulary ({error}); write or fetch it again") from error
    if kind not in ("WordPiece", "Unigram"):
        raise InputError(f"{path} is no WordPiece or Unigram vocabulary; give that of a BERT, or train one")
    return Tokenizer(backend, str(path))


def _normalisation(config: Path) -> dict[str, Any]:
    """The arguments of `wordpiece` that the `tokenizer_config.json` beside a `vocab.txt` gives; none without one."""
    if not config.is_file():
        return {}
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{config} is not JSON ({error}); write or fetch it again") from error
    if not isinstance(settings, dict):
        raise InputError(f"{config} is no JSON object; write or fetch it again")
    given = {argument: settings[key] for key, argument in _NORMALISATION.items() if key in settings}
    for key, argument in _NORMALISATION.items():
        value = given.get(argument, False)
        if not isinstance(value, bool) and not (value is None and key == "strip_accents"):
            raise InputError(f"{config}: {key} is {value!r}; write true or false")
    return given
