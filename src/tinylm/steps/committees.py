"""Members to committees: each is fine-tuned, goes on, or has a head fitted, and what votes with them is found."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tinylm.committee.files import member_names, write_committee
from tinylm.committee.mixing import NgramVote
from tinylm.committee.voting import Vote, Voting
from tinylm.core.progress import Progress
from tinylm.evaluation.out_of_fold import thresholds_out_of_fold
from tinylm.model.config import ModelConfig
from tinylm.model.layout import read_config
from tinylm.model.ngrams import NGRAMS
from tinylm.runtime.classifier import Classifier
from tinylm.runtime.loading import load
from tinylm.steps.base import pending_members
from tinylm.steps.continuing import member_settings_of
from tinylm.steps.search import search_mix, search_vote_of_heads
from tinylm.steps.side_by_side import run_side_by_side
from tinylm.text.splits import Task
from tinylm.tokens.encoding import UNKNOWN, unknown_share
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.task_pieces import recurring_marks, recurring_unknown_characters
from tinylm.tokens.windows import Long, count_longer, most_windows, not_read, positions_for
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.settings import FinetuneSettings
from tinylm.train.weights import weights_of

_MOST_SHOWN = 20
"""Characters that progress names."""


def fit_frozen_heads(
    folder: Path, members: Sequence[Path], task: Task, settings: FinetuneSettings, vote: Vote, progress: Progress
) -> Classifier:
    """Fit a linear head on each member as it was pre-trained, unless it is there, and make them a committee.

    The arguments are those of `finetune_committee`; of the settings, seed, search, validation_fraction and long count.
    """
    from tinylm.train.frozen import fit_frozen_member

    shape, tokenizer = read_config(members[0])[0], load_tokenizer(members[0])
    _warn_of_unknown(tokenizer, members[0], task, progress)
    _say_what_is_read(shape.positions, tokenizer, task, settings.long, progress)
    voting, ngrams = Voting(vote), None
    if settings.search:
        mix = search_vote_of_heads(folder, members, task, settings, vote, progress)
        ngrams = mix.ngrams
        voting = Voting(vote, mix.temperature, ngrams.weight if ngrams else 0.0)
    pending = list(pending_members(folder, len(members), "fitted", progress))
    progress.start("fitting heads", len(pending), "members")
    for done, (index, target) in enumerate(pending, start=1):
        head = fit_frozen_member(target, index, members[index], task, settings)
        progress.say(f"member {index}: a head on frozen vectors, inverse penalty {head.penalty:g}")
        progress.update(done)
    progress.finish()
    _fit_ngrams(folder, shape, tokenizer, task, settings, ngrams)
    write_committee(folder, member_names(len(members)), task.labels, voting, settings.long)
    return load(folder)


def finetune_committee(
    folder: Path,
    members: Sequence[Path],
    task: Task,
    settings: FinetuneSettings,
    vote: Vote,
    progress: Progress,
    *,
    from_scratch: bool = False,
    kinds: Sequence[int] | None = None,
) -> Classifier:
    """Fine-tune each member into `folder`, unless it is there, and make them a committee.

    Args:
        folder: where they go.
        members: folders of pre-trained members.
        task: what to learn.
        settings: how.
        vote: how they vote.
        progress: receives stages and messages.
        from_scratch: keep of a member only its shape and vocabulary, and draw its weights anew.
        kinds: of the members, positions in `variants.VARIANTS` that they take in turn, all of them when empty; searched
            for when None.
    """
    from tinylm.train.finetune import shape_of
    from tinylm.train.variants import IN_TURN, member_settings, members_differ

    starts = [read_config(member)[0] if from_scratch else member for member in members]
    tokenizers = _tokenizers(members, task, progress)
    length = positions_for(settings.long, shape_of(starts[0]).positions)
    _say_what_is_read(length, tokenizers[0], task, settings.long, progress)
    voting, ngrams = Voting(vote, problem_type=task.problem_type), None
    if kinds is None and settings.search and members_differ(settings):
        mix = search_mix(folder, starts, tokenizers, task, settings, vote, progress)
        kinds, ngrams = mix.kinds, mix.ngrams
        share = ngrams.weight if ngrams else 0.0
        voting = Voting(vote, mix.temperature, share, task.problem_type, mix.thresholds)
    each = [member_settings(settings, index, kinds or IN_TURN) for index in range(len(members))]
    what = "fine-tuning from scratch" if from_scratch else "fine-tuning"
    return _finetune_all(folder, starts, tokenizers, task, each, (voting, ngrams), what, progress)


def continue_committee(
    folder: Path,
    members: Sequence[Path],
    task: Task,
    settings: FinetuneSettings,
    vote: tuple[Voting, NgramVote | None],
    progress: Progress,
) -> Classifier:
    """Go on with fine-tuned members into `folder`; nothing is searched for, since they know some of these texts.

    Args:
        folder: where they go.
        members: folders of fine-tuned members.
        task: what to learn.
        settings: how.
        vote: how they vote, and how the n-gram classifier that votes with them is fitted, if there is one.
        progress: receives stages and messages.
    """
    tokenizers = _tokenizers(members, task, progress)
    each = [member_settings_of(member, settings) for member in members]
    voting, ngrams = vote
    known = read_config(members[0])[1]
    kept = dict(zip(known, voting.thresholds, strict=True)) if voting.thresholds else None
    vote = replace(voting, thresholds=()), ngrams
    return _finetune_all(folder, members, tokenizers, task, each, vote, "fine-tuning further", progress, kept)


def _tokenizers(members: Sequence[Path], task: Task, progress: Progress) -> list[Tokenizer]:
    """Their vocabularies, with a piece for each mark, and each character that they lack, that recurs in the texts."""
    tokenizers = [load_tokenizer(member) for member in members]
    _warn_of_unknown(tokenizers[0], members[0], task, progress)
    if marks := recurring_marks(tokenizers[0], task.train.texts):
        progress.say(f"marks in the texts, each taken as one piece: {' '.join(marks)}")
        tokenizers = [tokenizer.extended(marks) for tokenizer in tokenizers]
    if characters := recurring_unknown_characters(tokenizers[0], task.train.texts):
        shown = " ".join(characters[:_MOST_SHOWN]) + (" ..." if len(characters) > _MOST_SHOWN else "")
        progress.say(f"{len(characters):,} characters that the vocabulary lacks, each taken as one piece: {shown}")
        tokenizers = [tokenizer.extended(characters) for tokenizer in tokenizers]
    return tokenizers


def _warn_of_unknown(tokenizer: Tokenizer, member: Path, task: Task, progress: Progress) -> None:
    if (unknown := unknown_share(tokenizer, task.train.texts)) > UNKNOWN:
        progress.say(
            f"warning: {unknown:.1%} of the tokens of {task.name} are [UNK] to the vocabulary of {member}; "
            "was the base pre-trained on another language?"
        )


def _finetune_all(
    folder: Path,
    starts: Sequence[Path | ModelConfig],
    tokenizers: Sequence[Tokenizer],
    task: Task,
    settings: Sequence[FinetuneSettings],
    vote: tuple[Voting, NgramVote | None],
    what: str,
    progress: Progress,
    kept_thresholds: Mapping[str, float] | None = None,
) -> Classifier:
    """Fine-tune the members that are not there yet, each with settings of its own, and write the committee.

    Where its vote lacks the thresholds of several labels, those of `kept_thresholds`, by label, are taken, and others
    chosen by what members held out.
    """
    from tinylm.train.finetune import is_short, shape_of

    voting, ngrams = vote
    jobs = [
        partial(_finetune, target, index, starts[index], tokenizers[index], task, settings[index])
        for index, target in pending_members(folder, len(starts), "fine-tuned", progress)
    ]
    short = is_short(settings[0], len(task.train), len(jobs))
    run_side_by_side(what, "members", jobs, progress, short=short)
    _fit_ngrams(folder, shape_of(starts[0]), tokenizers[0], task, settings[0], ngrams)
    write_committee(folder, member_names(len(starts)), task.labels, voting, settings[0].long)
    if voting.several and not voting.thresholds:
        fraction, seed = settings[0].validation_fraction, settings[0].seed
        chosen = thresholds_out_of_fold(load(folder), task, fraction, seed)
        by_label = dict(zip(task.labels, chosen, strict=True)) | dict(kept_thresholds or {})
        voting = replace(voting, thresholds=tuple(by_label[label] for label in task.labels))
        write_committee(folder, member_names(len(starts)), task.labels, voting, settings[0].long)
    return load(folder)


def _fit_ngrams(
    folder: Path,
    shape: ModelConfig,
    tokenizer: Tokenizer,
    task: Task,
    settings: FinetuneSettings,
    ngrams: NgramVote | None,
) -> None:
    """Fit the n-gram classifier that votes with the members, if there is to be one and it is not there yet."""
    from tinylm.train.ngrams import fit_ngram_classifier

    # One that is there was fitted to the same labels: a run that is resumed has the same record.
    if ngrams is None or (folder / NGRAMS).is_file():
        return
    weights = weights_of(task, settings.class_weight)
    fitted = fit_ngram_classifier(shape, tokenizer, task, ngrams, settings.seed, settings.long, weights=weights)
    fitted.save(folder)


def _say_what_is_read(length: int, tokenizer: Tokenizer, task: Task, long: Long, progress: Progress) -> None:
    longer, texts = count_longer(task.train.texts, tokenizer, length - 2), len(task.train)
    if long == "truncate":
        read = not_read(longer, texts, length, long)
    else:
        if longer:
            progress.say(f"{longer:,} of {texts:,} texts are longer than {length} tokens, and are read in windows")
        cut = count_longer(task.train.texts, tokenizer, most_windows(long) * (length - 2))
        read = not_read(cut, texts, length, long)
    if read:
        progress.say(read)


def _finetune(
    folder: Path,
    index: int,
    start: Path | ModelConfig,
    tokenizer: Tokenizer,
    task: Task,
    settings: FinetuneSettings,
    progress: Progress,
) -> None:
    from tinylm.train.distributed import join_processes
    from tinylm.train.finetune import finetune_member

    finetune_member(folder, index, start, tokenizer, task, settings, join_processes(), progress)
