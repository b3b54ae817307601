"""The search before fine-tuning: which kinds of member a task wants, and how sure of itself their committee may be."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from tinylm.committee.files import SEARCH
from tinylm.committee.mixing import Mix, choose_mix
from tinylm.committee.voting import Vote
from tinylm.core.files import write_json
from tinylm.core.progress import Progress
from tinylm.model.config import ModelConfig
from tinylm.steps.side_by_side import run_side_by_side
from tinylm.text.splits import Task
from tinylm.tokens.loading import load_tokenizer
from tinylm.train.settings import FinetuneSettings

_CANDIDATES = "candidates"


def search_mix(
    folder: Path,
    starts: Sequence[Path | ModelConfig],
    vocabularies: Sequence[Path],
    task: Task,
    settings: FinetuneSettings,
    vote: Vote,
    progress: Progress,
) -> Mix:
    """Fine-tune a candidate of each kind on four fifths of the labels, and choose by what they predict of the rest.

    What was found is kept in `search.json`, and read where it is there.

    Args:
        folder: of the committee.
        starts: what each member starts from.
        vocabularies: folder of the vocabulary of each.
        task: what to learn; its test part is not looked at.
        settings: of the committee.
        vote: how its members will vote.
        progress: receives how far it is, and what was chosen.
    """
    from tinylm.train.candidate import predict_held_out, splits_for
    from tinylm.train.finetune import is_short
    from tinylm.train.variants import IN_TURN, VARIANTS

    kept = folder / SEARCH
    if kept.is_file():
        stored = json.loads(kept.read_text(encoding="utf-8"))
        return Mix(**{**stored, "kinds": tuple(stored["kinds"])})
    splits = splits_for(len(task.train))
    jobs = [
        partial(
            predict_held_out,
            folder / _CANDIDATES / f"{kind}-{split}",
            split,
            kind,
            starts[split % len(starts)],
            load_tokenizer(vocabularies[split % len(starts)]),
            task,
            settings,
        )
        for split in range(splits)
        for kind in IN_TURN
    ]
    short = is_short(settings, len(task.train), len(jobs))
    found = run_side_by_side("trying kinds of member", "candidates", jobs, progress, short=short)
    kinds = len(VARIANTS)
    predictions = np.stack([np.concatenate([probabilities for probabilities, _ in found[k::kinds]]) for k in IN_TURN])
    labels = np.concatenate([labels for _, labels in found[::kinds]])
    mix = choose_mix(predictions, labels, len(starts), vote)
    write_json(kept, asdict(mix))
    shutil.rmtree(folder / _CANDIDATES)
    _report(mix, len(labels), [variant.name for variant in VARIANTS], len(starts), progress)
    return mix


def _report(mix: Mix, labels: int, names: Sequence[str], members: int, progress: Progress) -> None:
    if mix.is_default:
        why = f"no other mix is clearly better on {labels:,} held-out labels (cross-entropy {mix.loss:.3f})"
        progress.say(f"members take turns: {why}")
    else:
        share = {name: mix.kinds.count(kind) for kind, name in enumerate(names) if kind in mix.kinds}
        chosen = "; ".join(f"{count} of {len(mix.kinds)} with {name}" for name, count in share.items())
        why = f"cross-entropy {mix.loss:.3f} in place of {mix.default_loss:.3f} on {labels:,} held-out labels"
        progress.say(f"members: {chosen}: {why}")
    progress.say(f"calibration: temperature {mix.temperature:.2f} for {members} member(s)")
