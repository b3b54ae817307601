"""What sets the members of a committee apart in fine-tuning: bigrams, and the share of words dropped.

Members that differ are worth more together than members that are alike: topics want many words dropped and no
bigrams, questions and phrases few and bigrams (docs/LOG.md, "Members that differ").
"""

from dataclasses import replace

from tinylm.train.settings import FinetuneSettings

VARIANTS = (
    {"bigrams": True, "word_dropout": 0.1},
    {"bigrams": False},
    {"bigrams": True, "word_dropout": 0.3},
    {"bigrams": False, "word_dropout": 0.3},
)
"""Settings that take turns over the members; without a word dropout it is chosen from the number of texts."""


def member_settings(settings: FinetuneSettings, index: int) -> FinetuneSettings:
    """The settings of a member: one of `VARIANTS`, unless bigrams or word dropout are set for all.

    Args:
        settings: of the committee.
        index: which member.
    """
    if settings.bigrams is not None or settings.word_dropout is not None:
        return replace(settings, bigrams=bool(settings.bigrams))
    return replace(settings, **VARIANTS[index % len(VARIANTS)])
