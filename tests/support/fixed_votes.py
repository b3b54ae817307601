"""A committee whose votes are given."""

import numpy as np

from tinylm.committee.voting import PLAIN, vote
from tinylm.runtime.predictions import Predictions


class FixedVotes:
    """Stands in for a `Classifier`: `votes` has shape (members, texts, classes), `ngrams` (texts, classes)."""

    def __init__(self, votes, voting=PLAIN, ngrams=None):
        self._votes, self.voting = np.array(votes), voting
        self.labels = tuple(map(str, range(self._votes.shape[2])))
        self._ngrams = None if ngrams is None else np.array(ngrams)

    def votes(self, texts):
        return self._votes[:, : len(texts)]

    def predict_batch(self, texts):
        ngrams = None if self._ngrams is None else self._ngrams[: len(texts)]
        votes = self.votes(texts)
        none = np.zeros(len(texts), int)
        return Predictions(self.labels, vote(votes, self.voting, ngrams), votes, none, none.astype(bool), ngrams)
