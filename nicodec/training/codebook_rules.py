"""Quantisers of the family that teach the levels of a codec of codes their codebooks.

In training each level has a quantiser of its own that chooses codes and has gradients by its own rule. What a decoder
stores is a plain codebook, the quantiser's table of codewords as it is after each step; an encoder chooses from it by
error and bits, as ever.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from nicodec.codecs.codes_network import Level
from nicodec.errors import InputError
from nicodec.quantize.base import Quantised, Quantiser, Settings
from nicodec.quantize.codebooks import nearest
from nicodec.quantize.projected import ProjectedSettings
from nicodec.quantize.registry import settings_of
from nicodec.quantize.table import TableSettings


class CodebookRules(nn.Module):
    """A quantiser for each level; see the module's docstring.

    Args:
        levels: that are taught.
        table: of a recipe, see `nicodec.quantize.registry`; numbers of codes are the levels'.

    Raises:
        InputError: there is no such quantiser, or its codewords are no table of a level's codes.

    """

    def __init__(self, levels: Sequence[Level], table: Mapping[str, object]) -> None:
        super().__init__()
        settings = settings_of(table)
        found = []
        for number, level in enumerate(levels):
            quantiser = _with_codes(settings, level.codes).build(level.quantiser.channels)
            if quantiser.sizes != (level.codes,):
                each = " x ".join(map(str, quantiser.sizes))
                raise InputError(
                    f"quantizer {table['name']!r} has {each} codes of {quantiser.channels} channels, and level "
                    f"{number} of the codec one index of {level.codes}: give [model] codes that fit, and further "
                    "levels in place of further indices"
                )
            found.append(quantiser)
        self.quantisers = nn.ModuleList(found)

    def each(self) -> Iterator[Quantiser]:
        """The levels' quantisers."""
        for quantiser in self.quantisers:
            assert isinstance(quantiser, Quantiser)
            yield quantiser

    def of(self, number: int) -> Quantiser:
        """That of a level."""
        return list(self.each())[number]

    def quantise(self, number: int, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What a level makes of features (B, channels, H, W): features, indices (B, H, W), and its loss."""
        found: Quantised = self.of(number)(features)
        return found.features, found.indices[:, 0], found.loss

    def start(self, levels: Sequence[Level]) -> None:
        """Begin from the levels' codebooks; what is known of their codes is then said of those nearest to them."""
        for quantiser, level in zip(self.each(), levels, strict=True):
            before = level.quantiser.codebook.detach().clone()
            quantiser.start(before)
            level.quantiser.take(quantiser)
            _say_of_nearest(level, before)

    def after_step(self, levels: Sequence[Level]) -> None:
        """Averages and dead codes of a step; then the levels have the codebooks that the step has left."""
        for quantiser in self.each():
            quantiser.after_step()
        for quantiser, level in zip(self.each(), levels, strict=True):
            level.quantiser.take(quantiser)

    def kept(self) -> dict[str, Tensor]:
        """All that goes on from a checkpoint, the averages that no weight file has among it."""
        return {**self.state_dict(), **dict(self.named_buffers())}

    @torch.no_grad()
    def restore(self, kept: Mapping[str, Tensor]) -> None:
        """Go on from what `kept` gave."""
        for name, own in (*self.named_parameters(), *self.named_buffers()):
            own.copy_(kept[name])


@torch.no_grad()
def _say_of_nearest(level: Level, before: Tensor) -> None:
    """Give each code the frequencies and the prior that the nearest code of the codebook before had."""
    order, context = nearest(level.quantiser.codebook, before), level.context
    shares = level.frequencies.shares[:, order]
    level.frequencies.shares.copy_(shares / shares.sum(1, keepdim=True))
    context.embedding.table.copy_(context.embedding.table[order])
    context.leave.weight.copy_(context.leave.weight[order])
    context.leave.bias.copy_(context.leave.bias[:, order])


def _with_codes(settings: Settings, codes: int) -> Settings:
    """The settings with so many codes, where they say how many."""
    if isinstance(settings, ProjectedSettings):
        return dataclasses.replace(settings, inner=_with_codes(settings.inner, codes))
    if isinstance(settings, TableSettings):
        return dataclasses.replace(settings, codes=codes)
    return settings
