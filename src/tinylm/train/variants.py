"""What sets the members of a committee apart in fine-tuning: bigrams, and the share of words dropped.

Members that differ are worth more together than members that are alike: topics want many words dropped and no
bigrams, questions and phrases few and bigrams (docs/LOG.md, "Bigrams, and members that differ").
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinylm.train.settings import FinetuneSettings


@dataclass(frozen=True)
class Variant:
    """A kind of member."""

    bigrams: bool
    word_dropout: float | None
    """Chosen from the number of texts when None."""

    @property
    def name(self) -> str:
        """A phrase for people."""
        share = "the usual share" if self.word_dropout is None else f"{self.word_dropout:.0%}"
        return f"{'bigrams' if self.bigrams else 'no bigrams'} and {share} of words dropped"


VARIANTS = (Variant(True, 0.1), Variant(False, None), Variant(True, 0.3), Variant(False, 0.3))
IN_TURN = tuple(range(len(VARIANTS)))


def members_differ(settings: FinetuneSettings) -> bool:
    """Whether members are of different kinds: neither bigrams nor word dropout are set for all."""
    return settings.bigrams is None and settings.word_dropout is None


def member_settings(settings: FinetuneSettings, index: int, kinds: Sequence[int] = IN_TURN) -> FinetuneSettings:
    """The settings of a member.

    Args:
        settings: of the committee.
        index: which member.
        kinds: positions in `VARIANTS`, which members take in turn where they differ.
    """
    if not members_differ(settings):
        return replace(settings, bigrams=bool(settings.bigrams))
    variant = VARIANTS[kinds[index % len(kinds)]]
    return replace(settings, bigrams=variant.bigrams, word_dropout=variant.word_dropout)
