"""What members do differently, and that settings for all are for all."""

from tinylm.train.settings import FinetuneSettings
from tinylm.train.variants import VARIANTS, member_settings


def chosen(settings, members=4):
    each = [member_settings(settings, index) for index in range(members)]
    return [(member.bigrams, member.word_dropout) for member in each]


def test_members_differ_and_take_turns():
    found = chosen(FinetuneSettings(), 6)
    assert len(set(found)) == len(VARIANTS) and found[4:] == found[:2]
    assert {bigrams for bigrams, _ in found[:2]} == {True, False}, "two members are enough for both kinds"


def test_what_is_set_is_set_for_all():
    assert chosen(FinetuneSettings(bigrams=True)) == [(True, None)] * 4
    assert chosen(FinetuneSettings(bigrams=False)) == [(False, None)] * 4
    assert chosen(FinetuneSettings(word_dropout=0.2)) == [(False, 0.2)] * 4
    assert chosen(FinetuneSettings(bigrams=True, word_dropout=0.0)) == [(True, 0.0)] * 4


def test_all_else_is_left_as_it_is():
    settings = FinetuneSettings(epochs=3, label_smoothing=0.2, seed=7)
    member = member_settings(settings, 0)
    assert (member.epochs, member.label_smoothing, member.seed) == (3, 0.2, 7)
