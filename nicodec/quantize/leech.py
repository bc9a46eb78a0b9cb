"""Spherical Leech quantisation: the 196,560 shortest vectors of the Leech lattice, at unit length.

    u = x/‖x‖ (24 channels);  features = the code of the largest u·e, straight through to u

Loss: none; the codes are fixed. They are the densest known arrangement of points on the sphere in 24 dimensions,
17.58 bits, and are built from exact integers (the extended Golay code), so that a decoder stores nothing:

    (±2 on an octad, an even number of minus signs, else 0)   759 · 2⁷   = 97,152
    (∓3 at one place, ±1 elsewhere; signs by a Golay word)    24 · 2¹²   = 98,304
    (±4 at two places, else 0)                                276 · 2²   =  1,104

Assumes: that a feature's length does not matter, or is sent otherwise.

Sources: Zhao et al. 2025, "Spherical Leech Quantization for Visual Tokenization and Generation"; Conway and
Sloane, "Sphere Packings, Lattices and Groups", chapters 4 and 10 (the vectors).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.errors import InputError
from nicodec.quantize.base import Quantiser, Rows, Settings, no_loss, parts_of, straight_through

DIMENSIONS, NORM = 24, 32
"""Every vector of integers has this many entries, and squares that add up to this."""

GOLAY = 0b110001110101
"""x¹¹ + x¹⁰ + x⁶ + x⁵ + x⁴ + x² + 1, the generator of the cyclic Golay code of length 23; see `golay_words`."""

INFORMATION, CHECK = slice(11, 23), [*range(11), 23]
"""Twelve places whose bits may be anything, and those that follow from them."""

OCTADS, WORDS = 759, 4096
FIRST_WORD = OCTADS * 128
FIRST_PAIR = FIRST_WORD + DIMENSIONS * WORDS
"""Where the second and the third kind of vectors begin."""

ROWS = 2**11
"""Searched at a time."""


@dataclass(frozen=True)
class LeechSettings(Settings):
    """Of `LeechQuantiser`: there is nothing to choose."""

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        if channels != DIMENSIONS:
            raise InputError(f"{channels} channels: the Leech lattice has {DIMENSIONS}; project first")
        return LeechQuantiser()


class LeechQuantiser(Quantiser):
    """See the module's docstring."""

    table: Tensor
    places: Tensor
    parity: Tensor
    word_signs: Tensor

    def __init__(self) -> None:
        vectors = leech_vectors()
        super().__init__(DIMENSIONS, (len(vectors),))
        self.settings = LeechSettings()
        self.register_buffer("table", vectors.float() / NORM**0.5, persistent=False)
        words = golay_words().long()
        weights = 2 ** torch.arange(12)
        self.register_buffer("places", octad_places(), persistent=False)
        self.register_buffer("parity", (words[:, CHECK] * weights).sum(1), persistent=False)
        self.register_buffer("word_signs", (1 - 2 * words).float(), persistent=False)

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`."""
        unit = F.normalize(rows, dim=1)
        chosen = self.search(unit.detach())
        return Rows(straight_through(unit, self.table[chosen[:, 0]]), chosen, no_loss(rows))

    def search(self, rows: Tensor) -> Tensor:
        """See `Quantiser.search`."""
        return self.candidates(rows, 1)[:, 0]

    @torch.no_grad()
    def candidates(self, rows: Tensor, count: int) -> Tensor:
        """The largest inner products, nearest on the sphere: the best of each octad, of each word, and of all pairs.

        So the first is the best of all, and the next ones are those of other octads and words.
        """
        return torch.cat([self._best(part, count) for part in parts_of(rows, ROWS)])[..., None]

    def _best(self, rows: Tensor, count: int) -> Tensor:
        places, parity = self.places, self.parity
        size, minus = rows.abs(), rows < 0
        # of each octad: the rows' own signs; of an odd number of minus signs, the least entry's is turned
        own_minus = minus[:, places]  # (N, 759, 8)
        least, turned = size[:, places].min(2)
        odd = own_minus.sum(2) % 2
        of_octads = 2 * size[:, places].sum(2) - 4 * odd * least
        # of each word: the place of −3 is where the signed entry is least
        sums, leasts = _signed(rows[:, INFORMATION])
        more_sums, more_leasts = _signed(rows[:, CHECK])
        of_words = sums + more_sums[:, parity] - 4 * torch.minimum(leasts, more_leasts[:, parity])
        two = size.topk(2)
        of_pairs = 4 * two.values.sum(1, keepdim=True)
        scores = torch.cat([of_octads, of_words, of_pairs], 1)
        best = scores.topk(min(count, scores.shape[1])).indices

        octad = best.clamp(max=OCTADS - 1)
        picked = own_minus.gather(1, octad[..., None].expand(-1, -1, 8))
        flip = F.one_hot(turned.gather(1, octad), 8) * odd.gather(1, octad)[..., None]
        signs = (picked.long() + flip) % 2
        as_octad = octad * 128 + (signs[..., :7] << torch.arange(7, device=rows.device)).sum(2)
        word = (best - OCTADS).clamp(0, WORDS - 1)
        signed = rows[:, None] * self.word_signs[word]
        as_word = FIRST_WORD + signed.argmin(2) * WORDS + word
        pair, _ = two.indices.sort(1)
        i, j = pair[:, 0], pair[:, 1]
        number = i * (2 * DIMENSIONS - 1 - i) // 2 + j - i - 1
        pair_minus = minus.gather(1, pair).long()
        as_pair = FIRST_PAIR + 4 * number + 2 * pair_minus[:, 0] + pair_minus[:, 1]
        as_others = torch.where(best < OCTADS + WORDS, as_word, as_pair[:, None])
        return torch.where(best < OCTADS, as_octad, as_others)

    def lookup(self, indices: Tensor) -> Tensor:
        """See `Quantiser.lookup`."""
        return self.table[indices[:, 0]]

    @property
    def stored_bytes(self) -> int:
        """Nothing: the vectors are built."""
        return 0


def _signed(entries: Tensor) -> tuple[Tensor, Tensor]:
    """Sum and least of 12 entries (N, 12) under all signs: (N, 4096) each; bit i of the number turns entry i."""
    sums = torch.zeros(len(entries), 1, device=entries.device)
    leasts = torch.full_like(sums, torch.inf)
    for entry in entries.t():
        own = entry[:, None]
        sums = torch.cat([sums + own, sums - own], 1)
        leasts = torch.cat([torch.minimum(leasts, own), torch.minimum(leasts, -own)], 1)
    return sums, leasts


@cache
def golay_words() -> Tensor:
    """The 4096 words of the extended binary Golay code, (4096, 24) of 0 and 1, int8.

    Multiples of the generator polynomial, of degree below 23, and a bit of parity; in the order of the numbers that
    their bits at `INFORMATION` make, the first counting least.
    """
    words = torch.zeros(WORDS, DIMENSIONS, dtype=torch.int8)
    for message in range(WORDS):
        word = 0
        for bit in range(12):
            if message >> bit & 1:
                word ^= GOLAY << bit
        bits = [word >> place & 1 for place in range(23)]
        words[word >> INFORMATION.start] = torch.tensor([*bits, sum(bits) % 2], dtype=torch.int8)
    return words


@cache
def octad_places() -> Tensor:
    """The places of the ones of the 759 words of weight 8, (759, 8)."""
    words = golay_words()
    return words[words.sum(1) == 8].nonzero()[:, 1].view(-1, 8)


@cache
def leech_vectors() -> Tensor:
    """The shortest vectors of the Leech lattice times √8, (196560, 24), int8, in the order of the docstring.

    The signs on an octad are the bits of a number below 128, the eighth is of parity; of the second kind, words
    change fastest; pairs are in the order of their places, with signs ++, +−, −+, −−.
    """
    places = octad_places()
    bits = torch.tensor([[number >> place & 1 for place in range(7)] for number in range(128)])
    even = 1 - 2 * torch.cat([bits, bits.sum(1, keepdim=True) % 2], 1)  # (128, 8)
    of_octads = torch.zeros(OCTADS, 128, DIMENSIONS, dtype=torch.int8)
    signs = (2 * even).to(torch.int8).expand(OCTADS, -1, -1)
    of_octads.scatter_(2, places[:, None].expand(-1, 128, -1), signs)
    one_three = torch.ones(DIMENSIONS, DIMENSIONS, dtype=torch.int8) - 4 * torch.eye(DIMENSIONS, dtype=torch.int8)
    of_words = one_three[:, None] * (1 - 2 * golay_words())[None]
    of_pairs = torch.zeros(4 * 276, DIMENSIONS, dtype=torch.int8)
    for number, (i, j) in enumerate(combinations(range(DIMENSIONS), 2)):
        for signs_number in range(4):
            of_pairs[4 * number + signs_number, i] = 4 - 8 * (signs_number >> 1)
            of_pairs[4 * number + signs_number, j] = 4 - 8 * (signs_number & 1)
    return torch.cat([of_octads.flatten(0, 1), of_words.flatten(0, 1), of_pairs])
