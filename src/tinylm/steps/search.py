"""The search before fine-tuning: which kinds of member a task wants, what votes with them, and how sure they may be."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinylm.committee import voting
from tinylm.committee.files import SEARCH
from tinylm.committee.mixing import FEWEST, UNSEARCHED_MIX, Mix, NgramVote, choose_mix
from tinylm.committee.voting import Vote, Voting
from tinylm.core.files import write_json
from tinylm.core.progress import Progress
from tinylm.model.config import ModelConfig
from tinylm.model.layout import read_config
from tinylm.steps.side_by_side import Job, run_side_by_side
from tinylm.text.splits import Task
from tinylm.tokens.loading import load_tokenizer
from tinylm.tokens.wordpiece import Tokenizer
from tinylm.train.settings import FinetuneSettings
from tinylm.train.weights import weights_of

_CANDIDATES = "candidates"


def search_mix(
    folder: Path,
    starts: Sequence[Path | ModelConfig],
    tokenizers: Sequence[Tokenizer],
    task: Task,
    settings: FinetuneSettings,
    vote: Vote,
    progress: Progress,
) -> Mix:
    """Train a candidate of each kind on four fifths of the labels, and choose by what they predict of the rest.

    So is a linear n-gram classifier, of which the share in the vote is chosen, none included. Where what is held out is
    too little to choose by, no candidate is trained.

    What was found is kept in `search.json`, and read where it is there.

    Args:
        folder: of the committee.
        starts: what each member starts from.
        tokenizers: the vocabulary of each.
        task: what to learn; its test part is not looked at.
        settings: of the committee.
        vote: how its members will vote.
        progress: receives how far it is, and what was chosen.
    """
    from tinylm.train.candidate import held_out_by, predict_held_out, splits_for
    from tinylm.train.finetune import is_short, shape_of
    from tinylm.train.ngrams import score_held_out
    from tinylm.train.variants import IN_TURN, VARIANTS

    if (found_before := read_mix(folder)) is not None:
        return found_before
    splits, weights = splits_for(len(task.train)), weights_of(task, settings.class_weight)
    held_out = [held_out_by(task, settings.seed, split) for split in range(splits)]
    if (texts := int(np.count_nonzero(held_out))) < FEWEST:
        write_json(folder / SEARCH, asdict(UNSEARCHED_MIX))
        progress.say(f"members take turns: {texts} held-out labels are too few to choose by, {FEWEST} would do")
        _report_vote(UNSEARCHED_MIX, len(starts), progress)
        return UNSEARCHED_MIX
    jobs: list[Job[Any]] = [
        partial(
            predict_held_out,
            folder / _CANDIDATES / f"{kind}-{split}",
            split,
            kind,
            starts[split % len(starts)],
            tokenizers[split % len(starts)],
            task,
            settings,
        )
        for split in range(splits)
        for kind in IN_TURN
    ]
    shape = shape_of(starts[0])
    by_ngrams: list[Job[Any]] = [
        partial(score_held_out, shape, tokenizers[0], task, held, settings.seed, settings.long, weights=weights)
        for held in held_out
    ]
    short = is_short(settings, len(task.train), len(jobs))
    found = run_side_by_side("trying kinds of member", "candidates", [*jobs, *by_ngrams], progress, short=short)
    by_member, scores = found[: len(jobs)], found[len(jobs) :]
    kinds = len(VARIANTS)
    predictions = np.stack([np.concatenate([votes for votes, _ in by_member[kind::kinds]]) for kind in IN_TURN])
    labels = np.concatenate([labels for _, labels in by_member[::kinds]])
    of_labels = None if weights is None else np.concatenate([weights.of_rows[held] for held in held_out])
    mix = choose_mix(predictions, labels, len(starts), vote, np.concatenate(scores, axis=1), of_labels)
    write_json(folder / SEARCH, asdict(mix))
    shutil.rmtree(folder / _CANDIDATES)
    _report_kinds(mix, len(labels), [variant.name for variant in VARIANTS], progress)
    _report_vote(mix, len(starts), progress)
    return mix


def search_vote_of_heads(
    folder: Path, members: Sequence[Path], task: Task, settings: FinetuneSettings, vote: Vote, progress: Progress
) -> Mix:
    """Fit frozen heads on four fifths of the labels, and choose what votes with them by what they predict of the rest.

    What was found is kept in `search.json`, and read where it is there.

    Args:
        folder: of the committee.
        members: folders of the pre-trained members.
        task: what to learn; its test part is not looked at.
        settings: of the committee.
        vote: how its members will vote.
        progress: receives how far it is, and what was chosen.
    """
    from tinylm.train.candidate import held_out_by, splits_for
    from tinylm.train.frozen import predict_held_out_by_heads
    from tinylm.train.ngrams import score_held_out

    if (found_before := read_mix(folder)) is not None:
        return found_before
    held_out = [held_out_by(task, settings.seed, split) for split in range(splits_for(len(task.train)))]
    votes = predict_held_out_by_heads(members, task, held_out, settings)
    shape, tokenizer = read_config(members[0])[0], load_tokenizer(members[0])
    scores = [score_held_out(shape, tokenizer, task, held, settings.seed, settings.long, progress) for held in held_out]
    labels = np.concatenate([task.train.labels[held] for held in held_out])
    # One kind, which answers as all heads do together.
    together = voting.vote(votes, Voting(vote))[None]
    mix = replace(choose_mix(together, labels, 1, vote, np.concatenate(scores, axis=1)), kinds=())
    write_json(folder / SEARCH, asdict(mix))
    _report_vote(mix, len(members), progress)
    return mix


def read_mix(folder: Path) -> Mix | None:
    """What a search for a committee found; None where there was none."""
    kept = folder / SEARCH
    if not kept.is_file():
        return None
    stored = json.loads(kept.read_text(encoding="utf-8"))
    ngrams = stored.pop("ngrams", None)
    stored |= {name: tuple(stored.get(name, ())) for name in ("kinds", "thresholds")}
    return Mix(**stored, ngrams=NgramVote(**ngrams) if ngrams else None)


def _report_kinds(mix: Mix, labels: int, names: Sequence[str], progress: Progress) -> None:
    if mix.is_default:
        why = f"no other mix is clearly better on {labels:,} held-out labels (cross-entropy {mix.loss:.3f})"
        progress.say(f"members take turns: {why}")
    else:
        share = {name: mix.kinds.count(kind) for kind, name in enumerate(names) if kind in mix.kinds}
        chosen = "; ".join(f"{count} of {len(mix.kinds)} with {name}" for name, count in share.items())
        why = f"cross-entropy {mix.loss:.3f} in place of {mix.default_loss:.3f} on {labels:,} held-out labels"
        progress.say(f"members: {chosen}: {why}")


def _report_vote(mix: Mix, members: int, progress: Progress) -> None:
    if mix.ngrams is not None:
        features = ", with n-grams of characters," if mix.ngrams.characters else ""
        progress.say(f"a linear n-gram classifier{features} has {mix.ngrams.weight:.0%} of the vote")
    if mix.loss is not None:
        progress.say(f"calibration: temperature {mix.temperature:.2f} for {members} member(s)")
