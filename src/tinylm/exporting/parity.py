"""Parity: the float32 graph gives the probabilities that torch gives, on sequences of many lengths.

They are compared alone and in padded batches, each member and the committee's vote. What a linear n-gram classifier
adds to the vote, which torch has no part in, is compared with NumPy's.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from tinylm.committee import voting
from tinylm.core.seeds import numpy_generator
from tinylm.model.checkpoint import load_classifier
from tinylm.model.operations import TokenBatch
from tinylm.runtime.backends import Backend
from tinylm.runtime.forward import groups, ngram_probabilities
from tinylm.runtime.loading import Checkpoint
from tinylm.runtime.numpy_backend import NumpyOperations

TOLERANCE = 1e-5
"""Between probabilities of the float32 graph and of torch: a hundred roundings of float32, whose epsilon is 1.2e-7."""

_LENGTHS = ((2,), (3,), (17,), (1000,), (2, 9, 9, 30), (1000, 2, 40))
"""Tokens of the sequences of each batch, before they are truncated to what the members can read."""


def largest_difference(checkpoint: Checkpoint, backend: Backend) -> float:
    """The largest between a probability of the graph and of torch; NaN where either computes one.

    Args:
        checkpoint: the trained committee.
        backend: runs its float32 graph.
    """
    models = [load_classifier(folder)[0].eval() for folder in checkpoint.folders]
    differences = []
    for batch in _batches(checkpoint):
        found = backend.forward(batch)
        found_votes = found.votes.swapaxes(0, 1)  # (members, texts, labels)
        votes = np.empty(found_votes.shape)
        for group, sequences in zip(groups(checkpoint.members), batch, strict=True):
            ids, mask = torch.from_numpy(sequences.ids), torch.from_numpy(sequences.mask).bool()
            for index in group:
                with torch.inference_mode():
                    logits = models[index](ids, mask).double()
                    votes[index] = (logits.sigmoid() if checkpoint.voting.several else logits.softmax(1)).numpy()
        ngrams = checkpoint.ngrams
        by_ngrams = None
        if ngrams is not None:
            by_ngrams, _ = ngram_probabilities(NumpyOperations(), ngrams, batch[0], checkpoint.voting)
        vote = voting.vote(votes, checkpoint.voting, by_ngrams)
        differences += [np.abs(found_votes - votes).max(), np.abs(found.probabilities - vote).max()]
    # np.max keeps NaN, and the built-in max may not.
    return float(np.max(differences))


def _batches(checkpoint: Checkpoint) -> Iterator[list[TokenBatch[npt.NDArray[np.int64]]]]:
    """Batches of random ids, in each batch one array for each vocabulary."""
    for number, lengths in enumerate(_LENGTHS):
        batch = []
        for group, vocabulary in zip(groups(checkpoint.members), checkpoint.vocabularies, strict=True):
            truncated = np.minimum(lengths, vocabulary.positions)
            mask = (np.arange(truncated.max()) < truncated[:, None]).astype(np.int64)  # (texts, tokens)
            generator = numpy_generator(0, "parity", number)
            ids = generator.integers(0, len(checkpoint.members[group[0]].token_embeddings), mask.shape)
            ids[:, 0] = vocabulary.tokenizer.cls_id
            batch.append(TokenBatch(ids, mask))
        yield batch
