"""Bigram embeddings: a vector for a token and the one before it, added to the token's own before the norm.

The bigrams are listed, so that what occurs in no training text adds nothing, and none shares its vector with another,
as it would by the hashing trick (Weinberger et al., 2009) of fastText (Joulin et al., 2017). They give a layer that
reads a set of tokens the order of neighbours.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tinylm.tokens.sequences import Indices


class BigramEmbeddings(nn.Module):
    """A vector for each listed bigram, zero until it is trained; any other adds nothing.

    Args:
        bigrams: how many.
        vocab_size: size of the vocabulary, which the codes are made with.
        width: of a token's vector.
    """

    codes: Tensor
    """(bigrams,) int64, rising; see `tokens.bigrams.bigram_codes`."""

    def __init__(self, bigrams: int, vocab_size: int, width: int) -> None:
        super().__init__()
        self._vocab_size = vocab_size
        self.register_buffer("codes", torch.arange(bigrams))
        # The first row stands for all that is not listed; it stays zero.
        self.table = nn.Parameter(torch.zeros(bigrams + 1, width))

    def set_codes(self, codes: Indices) -> None:
        """Say which bigrams they are: (bigrams,) codes, rising."""
        self.codes.copy_(torch.from_numpy(np.ascontiguousarray(codes)))

    def forward(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """Vectors to add.

        Args:
            ids: (batch, tokens).
            mask: (batch, tokens) bool, true where a token is real and not dropped; a bigram needs both of its tokens.

        Returns:
            (batch, tokens, width).
        """
        previous = functional.pad(ids[:, :-1], (1, 0))
        codes = previous * self._vocab_size + ids
        row = torch.searchsorted(self.codes, codes).clamp(max=len(self.codes) - 1)
        listed = self.codes[row] == codes
        if mask is not None:
            listed = listed & functional.pad(mask[:, :-1], (1, 0))
        return functional.embedding(torch.where(listed, row + 1, 0), self.table, padding_idx=0, sparse=True)
