"""Committees for tests: members with weights large enough to have opinions, and what torch says they say."""

from pathlib import Path

import numpy as np
import torch

from tinylm.committee.files import member_names, read_committee, write_committee
from tinylm.committee.voting import Voting
from tinylm.core.problems import ONE_LABEL, SEVERAL_LABELS
from tinylm.model.checkpoint import load_classifier, save_model
from tinylm.model.config import ModelConfig
from tinylm.model.heads import SequenceClassifier
from tinylm.tokens.encoded import EncodedTexts
from tinylm.tokens.loading import load_tokenizer
from tinylm.train.classification import class_logits

LABELS = ("one", "two", "three")
_TINY = {"hidden_size": 16, "heads": 2, "intermediate_size": 32, "positions": 32}


def write_member(
    folder: Path, tokenizer, seed: int, labels=LABELS, spread: float = 0.7, problem_type=ONE_LABEL, **changes
) -> Path:
    """Write a classifier of random weights."""
    shape = ModelConfig(**(_TINY | {"vocab_size": tokenizer.vocab_size} | changes))
    model = SequenceClassifier(shape, len(labels), problem_type)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator) * 0.3)
            if name.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
        if (bigrams := model.encoder.embeddings.bigrams) is not None:
            # Token 0 is before no token of these: nothing is before the first token.
            every = torch.randperm(tokenizer.vocab_size * (tokenizer.vocab_size - 1), generator=generator)
            chosen = tokenizer.vocab_size + every[: len(bigrams.codes)].sort().values
            bigrams.set_codes(chosen.numpy())
            bigrams.table[0] = 0
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder, model, tokenizer, labels)
    return folder


def write_voters(
    folder: Path, members, vote="probability", temperature=1.0, problem_type=ONE_LABEL, thresholds=()
) -> Path:
    """Write a committee; a member is (tokenizer, changes of its shape)."""
    for seed, (name, (tokenizer, changes)) in enumerate(zip(member_names(len(members)), members, strict=True)):
        write_member(folder / name, tokenizer, seed, problem_type=problem_type, **changes)
    voting = Voting(vote, temperature, problem_type=problem_type, thresholds=thresholds)
    write_committee(folder, member_names(len(members)), LABELS, voting)
    return folder


def torch_votes(folder: Path, texts) -> np.ndarray:
    """(members, texts, labels), by the models that were trained."""
    votes = []
    for name in read_committee(folder).members:
        model, _ = load_classifier(folder / name)
        encoded = EncodedTexts(texts, load_tokenizer(folder / name), model.config.positions)
        with torch.inference_mode():
            logits = class_logits(model.eval(), encoded).double()
        votes.append((logits.sigmoid() if model.problem_type == SEVERAL_LABELS else logits.softmax(1)).numpy())
    return np.stack(votes)
