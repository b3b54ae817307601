"""How good a committee is."""

import numpy as np
import pytest
from fixed_votes import FixedVotes

from tinylm.committee.voting import Voting
from tinylm.evaluation.committees import evaluate_committee
from tinylm.text.splits import Examples


def test_evaluation_measures_the_vote_its_members_and_smaller_committees():
    votes = [[[0.9, 0.1], [0.6, 0.4]], [[0.8, 0.2], [0.1, 0.9]], [[0.4, 0.6], [0.4, 0.6]]]
    measured = evaluate_committee(FixedVotes(votes), Examples(("a", "b"), np.array([0, 1])))
    assert measured.members == (0.5, 1.0, 0.5)
    assert measured.committee.accuracy == 1.0 and measured.committee.n == 2
    assert [size.size for size in measured.sizes] == [1, 2, 3]
    assert measured.sizes[0].mean == pytest.approx(2 / 3) and measured.sizes[2].mean == 1.0
    assert measured.disagreement > 0


def test_evaluation_uses_the_vote_of_the_committee():
    # One member is sure; the average of logits follows it, that of probabilities does not.
    votes = [[[0.0001, 0.9999]], [[0.8, 0.2]], [[0.8, 0.2]]]
    examples = Examples(("a",), np.array([1]))
    assert evaluate_committee(FixedVotes(votes, Voting("logit")), examples).committee.accuracy == 1.0
    assert evaluate_committee(FixedVotes(votes, Voting("probability")), examples).committee.accuracy == 0.0


def test_evaluation_tells_the_vote_from_that_of_the_members_alone():
    votes, ngrams = [[[0.6, 0.4], [0.9, 0.1]]], [[0.1, 0.9], [0.2, 0.8]]
    committee = FixedVotes(votes, Voting(ngram_weight=0.5), ngrams)
    measured = evaluate_committee(committee, Examples(("a", "b"), np.array([1, 1])))
    assert (measured.committee.accuracy, measured.members_alone, measured.ngrams) == (0.5, 0.0, 1.0)
    assert "accuracy of the members alone 0.0%" in " ".join(measured.lines())
    assert measured.as_json()["ngrams"] == 1.0
