"""Character embeddings: vectors of the character n-grams of a piece, added to the piece's own while it is fine-tuned.

So what is learnt of a word is learnt of words of the same stem as well, as in fastText (Bojanowski et al., 2017), also
of those that no training text has. The n-grams of a piece are always the same: when training ends the sum of their
vectors is added to the word embedding, and a finished model has none of them.
"""

import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional


class CharacterEmbeddings(nn.Module):
    """A vector for each character n-gram, zero until it is trained.

    Args:
        ngrams: (pieces, n-grams), not 0 where a piece has an n-gram; see `tokens.characters`.
        width: of a token's vector.
    """

    _ends: Tensor
    _counts: Tensor
    _ngrams: Tensor

    def __init__(self, ngrams: sparse.csr_matrix, width: int) -> None:
        super().__init__()
        # Made of the vocabulary, so not a part of what is saved.
        self.register_buffer("_ends", torch.from_numpy(ngrams.indptr[1:].astype("int64")), persistent=False)
        self.register_buffer("_counts", torch.from_numpy(ngrams.getnnz(axis=1).astype("int64")), persistent=False)
        self.register_buffer("_ngrams", torch.from_numpy(ngrams.indices.astype("int64")), persistent=False)
        self.table = nn.Parameter(torch.zeros(ngrams.shape[1], width))

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors to add: ids of any shape to (*ids.shape, width)."""
        pieces, where = torch.unique(ids, return_inverse=True)
        return self._vectors(pieces)[where]

    def every(self) -> Tensor:
        """The vector to add to each piece: (pieces, width)."""
        return self._vectors(torch.arange(len(self._ends), device=self.table.device))

    def _vectors(self, pieces: Tensor) -> Tensor:
        """(n,) to (n, width): the sum over its n-grams, divided by the root of their number."""
        counts = self._counts[pieces]
        starts = counts.cumsum(0) - counts
        within = torch.arange(int(counts.sum()), device=pieces.device) - torch.repeat_interleave(starts, counts)
        listed = self._ngrams[torch.repeat_interleave(self._ends[pieces] - counts, counts) + within]
        sums = functional.embedding_bag(listed, self.table, starts, mode="sum", sparse=True)
        return sums / counts.clamp_min(1).sqrt()[:, None]
