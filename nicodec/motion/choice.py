"""The encoder's choice among what vectors may be coded as: by difference and by what each would cost in bits."""

from __future__ import annotations

import torch
from torch import Tensor

from nicodec.entropy.priors import ScaleMixture
from nicodec.motion.compensation import place_of, runs_at
from nicodec.motion.field import BLOCK, REACH, UNIT, cells_of, over_blocks
from nicodec.motion.search import Found
from nicodec.motion.vectors import Place


class LeastCostChoice:
    """A `Chooser` that takes of each choice the one of least sum of absolute differences and priced bits."""

    def __init__(self, found: Found) -> None:
        self._found = found
        search = found.searches[0]
        self._rows, self._columns = search.rows // 2, search.columns // 2
        self._price = search.price
        current = search.current
        self._weight = torch.ones_like(found.blocks[0][:, 0])
        self._targets = []
        if found.costs is not None:
            predicted = []
            for number, each in enumerate(found.searches):
                whole = cells_of(found.blocks[number])
                chosen = torch.where(cells_of(found.split[number])[:, None], found.cells[number], whole)
                predicted.append(each.predicted(chosen))
            self._targets = [2 * current - predicted[1], 2 * current - predicted[0]]

    def _price_at(self, place: Place) -> Tensor:
        """(B, N) or (B, 1)."""
        return self._price[:, 0] if self._price.shape[1] == 1 else self._price[:, place.row, place.column]

    def weights(self, place: Place, bits: Tensor) -> Tensor:
        """See `Chooser`."""
        assert self._found.costs is not None
        costs = self._found.costs[:, :, place.row, place.column] + self._price_at(place)[:, None] * bits
        found = costs.argmin(1)
        self._weight[:, place.row, place.column] = found
        return found

    def modes(self, place: Place, candidates: Tensor, bits: Tensor, new_bits: Tensor) -> tuple[Tensor, Tensor]:
        """See `Chooser`."""
        own = torch.stack([blocks[:, :, place.row, place.column] for blocks in self._found.blocks], 1)
        difference = (own - candidates[:, :, 0]).float()
        bits = bits.clone()
        bits[:, :, -1] += ScaleMixture(new_bits).bits(difference).sum(2)
        costs = bits * self._price_at(place)[:, None, None]
        tried = torch.cat([candidates, own[:, :, None]], 2)
        for number in range(tried.shape[1]):
            costs[:, number] += self._differences(number, place, tried[:, number])
        return costs.argmin(2), own

    def _differences(self, number: int, place: Place, vectors: Tensor) -> Tensor:
        """Sums of absolute differences of blocks, (B, K, N), that vectors (B, K, 2, N) to a reference give."""
        search = self._found.searches[number]
        shape = (len(vectors), self._rows, BLOCK, self._columns, BLOCK)
        at = (slice(None), place.row, slice(None), place.column)
        places = search.places.view(*shape[:-1], 2)[at][..., 0]  # (N, B, 16)
        wanted = search.current.view(shape)[at]  # (N, B, 16, 16)
        halves = torch.ones_like(vectors[:, 0, 0], dtype=torch.float32)
        if self._targets:
            both = self._weight[:, place.row, place.column] == 1
            wanted = torch.where(both.T[:, :, None, None], self._targets[number].view(shape)[at], wanted)
            halves = torch.where(both, 0.5, 1.0)
        row = vectors[:, :, 0].maximum(-UNIT * (REACH + BLOCK * place.row))
        row = row.minimum(UNIT * (BLOCK * (self._rows - 1 - place.row) + REACH))
        column = vectors[:, :, 1].maximum(-UNIT * (REACH + BLOCK * place.column))
        column = column.minimum(UNIT * (BLOCK * (self._columns - 1 - place.column) + REACH))
        steps = place_of(torch.stack([row, column], 1), search.source.values.shape)
        found = []
        for k in range(vectors.shape[1]):
            moved = runs_at(search.source, places + steps[:, k].T[:, :, None], BLOCK)
            found.append((moved - wanted).abs_().sum((2, 3)).T * halves)
        return torch.stack(found, 1)

    def splits(
        self, blocks: Tensor, candidates: Tensor, split_bits: Tensor, bits: Tensor, new_bits: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `Chooser`."""
        own = torch.stack(self._found.cells, 1)
        shape = own.shape
        difference = (own - cells_of(blocks)).float()
        bits = bits.clone()
        flat = (shape[0], shape[1], 2, -1)
        bits[:, :, -1] += ScaleMixture(new_bits.reshape(flat)).bits(difference.reshape(flat)).view(shape).sum(2)
        tried = torch.cat([candidates, own[:, :, None]], 2)
        price = self._price if self._price.shape[1] == 1 else cells_of(self._price)
        splits, modes = [], []
        both = self._weight == 1
        for number, search in enumerate(self._found.searches):
            wanted, halves = search.current, torch.ones_like(price)
            if self._targets:
                mask = cells_of(both)
                wanted = torch.where(mask[:, :, None, :, None], self._targets[number], wanted)
                halves = torch.where(mask, 0.5, 1.0)
            differences = []
            for k in range(tried.shape[2]):
                moved = search.predicted(tried[:, number, k])
                differences.append((moved - wanted).abs_().sum(2).sum(-1) * halves)
            costs = torch.stack(differences, 1) + price[:, None] * bits[:, number]
            least, mode = costs.min(1)
            whole = over_blocks(differences[0]) + self._price * split_bits[:, number, 0]
            splits.append(over_blocks(least) + self._price * split_bits[:, number, 1] < whole)
            modes.append(mode)
        return torch.stack(splits, 1), torch.stack(modes, 1), own
