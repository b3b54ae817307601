"""The main job, step by step: text to pre-trained members, members and labels to a committee, that to one member.

The command line and the Python interface both call these functions. Each finished step is kept in its output
folder and never done again when the run is resumed or more members are asked for.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinylm.committee.files import COMMITTEE, member_names, read_committee, write_committee
from tinylm.committee.voting import Vote
from tinylm.core.errors import InputError
from tinylm.core.files import cache_folder, file_digest, new_folder
from tinylm.core.progress import Progress, Silent
from tinylm.core.runs import claim, is_free, read_record
from tinylm.model.config import DEFAULT_PRESET, ModelConfig
from tinylm.model.config import preset as preset_shape
from tinylm.model.layout import CONFIG, WEIGHTS, read_config
from tinylm.runtime.artefact import ARTEFACT
from tinylm.runtime.classifier import Classifier
from tinylm.runtime.loading import load
from tinylm.text.corpus import Corpus, open_corpus
from tinylm.text.known import as_written
from tinylm.text.sources import TaskSource
from tinylm.text.splits import Task
from tinylm.tokens.encoding import tokenise
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.vocabulary import train_tokenizer
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.distill import distill_member
from tinylm.train.distributed import join_processes
from tinylm.train.finetune import finetune_member
from tinylm.train.pretrain import pretrain_member
from tinylm.train.settings import DistillSettings, FinetuneSettings, PretrainSettings

PRETRAINED = "pretrained"
SCRATCH = "scratch"
_SHOW_EVERY = 1024


@dataclass(frozen=True)
class Base:
    """Pre-trained members, ready to be fine-tuned.

    Attributes:
        folder: where they are.
        members: a model folder each.
    """

    folder: Path
    members: tuple[Path, ...]


def pretrain(
    corpus: str | Path | Sequence[str] | Corpus,
    *,
    output: str | Path | None = None,
    members: int = 1,
    preset: str | Sequence[str] = DEFAULT_PRESET,
    vocabulary: str | Path | None = None,
    documents: int | None = None,
    text_column: str | None = None,
    data_dir: str | Path | None = None,
    settings: PretrainSettings | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    **changes: Any,
) -> Base:
    """Pre-train the members of a committee on unlabelled text, each with weights, order and masks of its own.

    Args:
        corpus: the text; see `open_corpus`.
        output: folder to write; one in tinylm's cache, named by what is asked, when None (and then resumed).
        members: how many.
        preset: shape of the members, by name; several names take turns.
        vocabulary: a vocabulary to use, see `load_tokenizer`; trained on the corpus when None.
        documents: how many documents to use, drawn by seed; all when None.
        text_column: the column of the text; found by the usual names when None.
        data_dir: where data sets and vocabularies known by name are looked for.
        settings: how to train.
        resume: go on with what `output` holds.
        progress: who listens.
        changes: fields of `PretrainSettings`, such as `budget="20m"`.

    Raises:
        InputError: bad text, settings or folder.
        InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
        DivergedError: the loss exploded.
    """
    settings = replace(settings or PretrainSettings(), **changes)
    names = (preset,) if isinstance(preset, str) else tuple(preset)
    shapes = [preset_shape(name) for name in names]
    _require_members(members)
    if not isinstance(corpus, Corpus):
        corpus = open_corpus(
            corpus, text_column=text_column, documents=documents, seed=settings.seed, data_dir=data_dir
        )
    if len(list(islice(corpus.documents(), 2))) < 2:
        raise InputError(
            f"{corpus.name} has one document only, and 2 are needed to train and validate; "
            "give more text, or one document a line"
        )
    record = {
        "corpus": corpus.name,
        "corpus_fingerprint": corpus.fingerprint,
        "presets": names,
        "vocabulary": None if vocabulary is None else str(vocabulary),
        "settings": asdict(settings),
    }
    folder = Path(output) if output is not None else _cached("bases", record)
    processes = join_processes()
    progress = progress if processes.is_main and progress else Silent()
    with processes.main_process_first():
        claim(folder, record, resume=resume or output is None or not processes.is_main)
    targets = [folder / name for name in member_names(members)]
    for index, target in enumerate(targets):
        if (target / CONFIG).is_file():
            progress.say(f"member {index} is pre-trained already: {target}")
            continue
        shape = shapes[index % len(shapes)]
        with processes.main_process_first():
            tokenizer = _vocabulary(folder, corpus, shape, vocabulary, data_dir, progress)
            tokens = tokenise(corpus, tokenizer, progress=progress)
        shape = replace(shape, vocab_size=tokenizer.vocab_size)
        pretrain_member(target, index, shape, tokens, tokenizer, settings, processes, progress)
    return Base(folder, tuple(targets))


def finetune(
    base: Base | str | Path,
    task: Task | TaskSource | str | Path,
    *,
    output: str | Path | None = None,
    members: int | None = None,
    data_dir: str | Path | None = None,
    vote: Vote = "probability",
    settings: FinetuneSettings | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    **changes: Any,
) -> Classifier:
    """Fine-tune pre-trained members to labels, each by itself, and let them vote.

    Args:
        base: what `pretrain` returned or wrote, or the folder of one BERT in the layout of Hugging Face.
        task: the labelled text; `TaskSource` names its columns. Its test part is not looked at.
        output: folder to write; one in tinylm's cache, named by what is asked, when None (and then resumed).
        members: how many of the base's members to use; all when None.
        data_dir: where data sets known by name are looked for.
        vote: `probability` averages the members' probabilities, `logit` their logits.
        settings: how to train.
        resume: go on with what `output` holds.
        progress: who listens.
        changes: fields of `FinetuneSettings`, such as `epochs=5`.

    Raises:
        InputError: bad text, settings or folder.
        InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
        DivergedError: the loss exploded.
    """
    settings = replace(settings or FinetuneSettings(), **changes)
    _require_one_process()
    if not isinstance(base, Base):
        base = open_base(base)
    if members is not None:
        _require_members(members)
        if members > len(base.members):
            raise InputError(
                f"{base.folder} has {len(base.members)} pre-trained member(s), not {members}; "
                "pre-train more of them first, with --resume"
            )
        base = Base(base.folder, base.members[:members])
    task = _loaded(task, data_dir, settings.seed)
    record = {
        "base": str(base.folder.absolute()),
        "task": task.name,
        "task_fingerprint": task.fingerprint,
        "task_source": task.source,
        "settings": asdict(settings),
    }
    folder = Path(output) if output is not None else _cached("models", record)
    claim(folder, record, resume=resume or output is None, may_hold=(PRETRAINED,))
    progress = progress or Silent()
    for note in task.notes:
        progress.say(note)
    return finetune_committee(folder, base.members, task, settings, vote, progress)


def train(
    corpus: str | Path | Sequence[str] | Corpus,
    task: Task | TaskSource | str | Path,
    *,
    output: str | Path,
    members: int = 2,
    preset: str | Sequence[str] = DEFAULT_PRESET,
    vocabulary: str | Path | None = None,
    documents: int | None = None,
    corpus_column: str | None = None,
    data_dir: str | Path | None = None,
    vote: Vote = "probability",
    pretraining: PretrainSettings | None = None,
    finetuning: FinetuneSettings | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Classifier:
    """Pre-train, fine-tune, vote: `pretrain` into `output`/pretrained, then `finetune` into `output`.

    The task is read before anything is trained, so that what is wrong with it is said at once.
    The arguments are those of the two functions.
    """
    _require_one_process()
    finetuning = finetuning or FinetuneSettings()
    output = Path(output)
    task = _loaded(task, data_dir, finetuning.seed)
    is_free(output, resume=resume, may_hold=(PRETRAINED,))
    base = pretrain(
        corpus,
        output=output / PRETRAINED,
        members=members,
        preset=preset,
        vocabulary=vocabulary,
        documents=documents,
        text_column=corpus_column,
        data_dir=data_dir,
        settings=pretraining,
        resume=resume,
        progress=progress,
    )
    return finetune(
        base,
        task,
        output=output,
        vote=vote,
        settings=finetuning,
        resume=resume,
        progress=progress,
    )


def finetune_committee(
    folder: Path,
    members: Sequence[Path],
    task: Task,
    settings: FinetuneSettings,
    vote: Vote,
    progress: Progress,
    *,
    from_scratch: bool = False,
) -> Classifier:
    """Fine-tune each member into `folder`, unless it is there, and make them a committee.

    Args:
        folder: where they go.
        members: folders of pre-trained members.
        task: what to learn.
        settings: how.
        vote: how they vote.
        progress: who listens.
        from_scratch: keep of a member only its shape and vocabulary, and draw its weights anew.
    """
    names = member_names(len(members))
    for index, member in enumerate(members):
        target = folder / names[index]
        if (target / CONFIG).is_file():
            progress.say(f"member {index} is fine-tuned already: {target}")
            continue
        start: Path | ModelConfig = read_config(member)[0] if from_scratch else member
        finetune_member(target, index, start, load_tokenizer(member), task, settings, join_processes(), progress)
    write_committee(folder, names, task.labels, vote)
    return load(folder)


def distill(
    model: str | Path,
    corpus: str | Path | Sequence[str] | Corpus,
    *,
    output: str | Path,
    members: int = 1,
    documents: int | None = None,
    text_column: str | None = None,
    data_dir: str | Path | None = None,
    settings: DistillSettings | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    **changes: Any,
) -> Classifier:
    """Teach a committee into one member, which answers in a fraction of the time, on text without labels.

    The committee answers each text; its first member goes on learning until it answers alike. Further members may do
    the same, and vote as the committee does.

    Args:
        model: folder of a committee as it was trained.
        corpus: texts such as it will be asked about, of which as much is read as a member can; see `open_corpus`.
        output: folder to write.
        members: how many of the committee's members are taught, the first ones.
        documents: how many texts to use, drawn by seed; all when None.
        text_column: the column of the text; found by the usual names when None.
        data_dir: where data sets known by name are looked for.
        settings: how to train.
        resume: go on with what `output` holds.
        progress: who listens.
        changes: fields of `DistillSettings`, such as `budget="5m"`.

    Raises:
        InputError: bad text, settings or folder, or a model that is no committee of so many trained members.
        InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
        DivergedError: the loss exploded.
    """
    settings = replace(settings or DistillSettings(), **changes)
    _require_one_process()
    _require_members(members)
    model, output, progress = Path(model), Path(output), progress or Silent()
    if (model / ARTEFACT).is_file():
        raise InputError(f"{model} was exported, and members are taught before that; give the folder it was made from")
    committee = load(model, threads=os.cpu_count() or 1)
    if len(committee) < 2:
        raise InputError(f"{model} has one member only, and nothing to learn from others; give a committee")
    if members > len(committee):
        raise InputError(f"{model} has {len(committee)} members to teach, not {members}; ask for no more than it has")
    if not isinstance(corpus, Corpus):
        corpus = open_corpus(
            corpus, text_column=text_column, documents=documents, seed=settings.seed, data_dir=data_dir
        )
    learnt = {key: value for key, value in read_record(model).items() if key.startswith("task") or key == "settings"}
    record = {
        # What the committee was trained on says which texts are left to evaluate its pupil on.
        **learnt,
        "teacher": str(model.absolute()),
        "teacher_fingerprint": _fingerprint(model),
        "corpus": corpus.name,
        "corpus_fingerprint": corpus.fingerprint,
        "distillation": asdict(settings),
    }
    claim(output, record, resume=resume)
    names = member_names(members)
    untaught = []
    for index, name in enumerate(names):
        if (output / name / CONFIG).is_file():
            progress.say(f"member {index} is taught already: {output / name}")
        else:
            untaught.append(index)
    if untaught:
        texts = list(dict.fromkeys(corpus.documents()))
        answers = _answers(committee, texts, progress)
        starts = read_committee(model).members
        for index in untaught:
            start = model / starts[index]
            distill_member(output / names[index], index, start, texts, answers, settings, join_processes(), progress)
    write_committee(output, names, committee.labels, committee.vote)
    return load(output)


def _fingerprint(model: Path) -> str:
    """Hash of a committee's weights and vote."""
    digest = hashlib.blake2b((model / COMMITTEE).read_bytes(), digest_size=16)
    for member in read_committee(model).members:
        digest.update(file_digest(model / member / WEIGHTS))
    return digest.hexdigest()


def _answers(committee: Classifier, texts: Sequence[str], progress: Progress) -> npt.NDArray[np.float32]:
    """Probabilities of a committee: (texts, labels)."""
    answers = np.empty((len(texts), len(committee.labels)), np.float32)
    progress.start("asking the committee", len(texts), "texts")
    for index, answer in enumerate(committee.predict_proba(iter(texts))):
        answers[index] = answer
        if index % _SHOW_EVERY == 0:
            progress.update(index)
    progress.finish()
    return answers


def open_base(folder: str | Path) -> Base:
    """The pre-trained members in a folder that `pretrain` or `train` wrote, or one BERT in Hugging Face's layout.

    Raises:
        InputError: there are none.
    """
    folder = Path(folder)
    if (folder / PRETRAINED).is_dir():
        folder = folder / PRETRAINED
    elif (folder / COMMITTEE).is_file():
        raise InputError(f"{folder} is fine-tuned already; give the folder that `tinylm pretrain` wrote")
    found = sorted(folder.glob(f"member-*/{CONFIG}"), key=lambda path: int(path.parent.name.split("-")[1]))
    if found:
        return Base(folder, tuple(path.parent for path in found))
    if (folder / CONFIG).is_file():
        return Base(folder, (folder,))
    what = "has no finished member yet" if read_record(folder) else "holds no pre-trained model"
    raise InputError(f"{folder} {what}; give the folder that `tinylm pretrain` wrote")


def _loaded(task: Task | TaskSource | str | Path, data_dir: str | Path | None, seed: int) -> Task:
    if isinstance(task, Task):
        return task
    source = task if isinstance(task, TaskSource) else TaskSource(as_written(task))
    return (source if data_dir is None else replace(source, data_dir=str(data_dir))).load(seed)


def _vocabulary(
    folder: Path,
    corpus: Corpus,
    shape: ModelConfig,
    vocabulary: str | Path | None,
    data_dir: str | Path | None,
    progress: Progress,
) -> Tokenizer:
    if vocabulary is not None:
        return load_tokenizer(vocabulary, data_dir)
    kept = folder / f"vocabulary-{shape.vocab_size}"
    if not kept.is_dir():
        tokenizer = train_tokenizer(corpus.documents(), shape.vocab_size, progress=progress)
        with new_folder(kept) as temporary:
            tokenizer.save(temporary)
    return load_tokenizer(kept)


def _require_one_process() -> None:
    if join_processes().size > 1:
        raise InputError("fine-tuning takes one process; give torchrun `tinylm pretrain` alone")


def _require_members(members: int) -> None:
    if members < 1:
        raise InputError(f"members is {members}; a committee needs at least 1")


def _cached(kind: str, record: dict[str, Any]) -> Path:
    name = hashlib.blake2b(json.dumps(record, sort_keys=True).encode(), digest_size=8).hexdigest()
    return cache_folder() / kind / name
