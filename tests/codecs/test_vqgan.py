"""Codes of codebooks: what is encoded is what is decoded, whatever floats do, and never more than a fixed length."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nicodec.areas.plain import LOSSLESS, PlainAreas
from nicodec.codecs.codes import WORTH, CodesCodec, Mode
from nicodec.codecs.codes_network import CodesConfig
from nicodec.codecs.vqgan import Vqgan
from nicodec.entropy.coder import Coder, PictureReader, PictureWriter
from nicodec.entropy.priors import Prior
from nicodec.errors import CorruptError, SymbolMismatchError

from ..conftest import smooth_picture, without_onednn

TINY = {
    "latents": 12,
    "analysis_blocks": (1, 1),
    "synthesis_blocks": (1, 1),
    "factors": (4, 2, 1, 1),
    "codes": (16, 32, 64, 16),
    "channels": (6, 8, 10, 10),
    "first": (0, 10, 40, 120),
    "embedding": 6,
    "context": 12,
}
"""Configuration small enough for tests."""


def picture_tensor(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(smooth_picture(height, width, seed)).permute(2, 0, 1)[None].float() / 255


Tiny = TypeVar("Tiny", bound=CodesCodec)


def started(codec: Tiny) -> Tiny:
    """A codec with codebooks of drawn pictures, and random blocks and prior, integers derived."""
    network = codec.network
    for basis in (network.to_fine, network.to_latents, network.from_latents, network.from_fine):
        torch.nn.init.orthogonal_(basis.weight)
    with torch.no_grad():
        for name, parameter in codec.named_parameters():
            if parameter.requires_grad and ".context." not in name and "basis" not in name:
                parameter.add_(0.01 * torch.randn_like(parameter))
        pictures = torch.cat([picture_tensor(128, 128, seed) for seed in range(24)])
        network.start_levels(network.analyse(pictures, torch.full((24,), 100)))
        for level in network.each_level():
            level.context.leave.weight.normal_(std=0.2)
    codec.to_integers()
    return codec.eval().requires_grad_(False)


def tiny_vqgan() -> Vqgan:
    torch.manual_seed(0)
    return started(Vqgan(CodesConfig(**TINY)))


@pytest.fixture(scope="module")
def codec() -> Vqgan:
    return tiny_vqgan()


class Recorder(Coder):
    """Hands on, and keeps the symbols and their estimated bits."""

    def __init__(self, inner: Coder) -> None:
        self.inner, self.symbols, self.bits = inner, [], 0.0

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        symbols = self.inner.code(value, prior)
        self.symbols.append(symbols)
        self.bits += float(prior.bits(symbols).sum())
        return symbols


@pytest.mark.parametrize("mode", list(Mode))
@settings(max_examples=8)
@given(rows=st.integers(1, 3), columns=st.integers(1, 3), quality=st.integers(0, 200), seed=st.integers(0, 99))
def test_what_is_encoded_is_decoded(
    codec: Vqgan, mode: Mode, rows: int, columns: int, quality: int, seed: int
) -> None:
    size = (64 * rows, 64 * columns)
    x = picture_tensor(*size, seed)
    indices = codec.network.indices(codec.network.analyse(x, torch.tensor([quality])), quality)
    assert len(indices) == codec.config.levels(quality)
    writer = Recorder(PictureWriter())
    codec.code_indices(writer, indices, size, quality, [mode] * len(indices))
    stream = writer.inner.finish()
    reader = PictureReader(stream)
    found = codec.code_indices(reader, None, size, quality)
    reader.finish()
    assert all(torch.equal(a.flatten(), b) for a, b in zip(indices, found, strict=True))
    # Less, where it ends in a row of zeros: the lowest symbols give zero bytes, which are left out.
    assert 8 * len(stream.data) <= 1.01 * writer.bits + 8 * 64


@pytest.mark.parametrize("mode", [Mode.CONTEXT, Mode.BEFORE])
@pytest.mark.parametrize("quality", [0, 60, 200])
def test_floats_never_pick_a_table(codec: Vqgan, quality: int, mode: Mode) -> None:
    """Noise on every float, another kernel, bfloat16: a decoder reads the same indices."""
    x, q, size = picture_tensor(128, 192, 3), torch.tensor([quality]), (128, 192)
    indices = codec.network.indices(codec.network.analyse(x, q), quality)
    writer = PictureWriter()
    codec.code_indices(writer, indices, size, quality, [mode] * len(indices))
    stream = writer.finish()
    handles = [
        module.register_forward_hook(lambda m, i, o: o + 1e-2 * torch.randn_like(o))
        for name, module in codec.named_modules()
        if not list(module.children()) and ".context" not in name and ".frequencies" not in name
    ]
    try:
        for bfloat16 in (False, True):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16), without_onednn():
                reader = PictureReader(stream)
                found = codec.code_indices(reader, None, size, quality)
                reader.finish()
                assert all(torch.equal(a.flatten(), b) for a, b in zip(indices, found, strict=True))
    finally:
        for handle in handles:
            handle.remove()


def test_a_stream_is_no_longer_than_a_fixed_length(codec: Vqgan) -> None:
    torch.manual_seed(1)
    x = torch.rand(1, 3, 128, 192)
    for quality in (0, 60, 200):
        ((stream,),) = codec.encode(x, torch.tensor([quality]), codec.Options())
        levels = list(codec.network.each_level())[: codec.config.levels(quality)]
        fixed = sum(math.log2(level.codes) * 8 * 12 / level.factor**2 for level in levels)
        assert 8 * len(stream.data) <= fixed + 64


def test_a_batch_is_its_pictures(codec: Vqgan) -> None:
    x = torch.cat([picture_tensor(64, 128, seed) for seed in range(3)])
    quality = torch.tensor([5, 90, 200])
    streams = codec.encode(x, quality, codec.Options())
    together = codec.decode(streams, (64, 128), quality)
    for number in range(3):
        one = slice(number, number + 1)
        alone = codec.decode(streams[one], (64, 128), quality[one])
        assert torch.allclose(together[one], alone, atol=1e-4)


def test_more_quality_is_more_bytes_and_less_error(codec: Vqgan) -> None:
    x = picture_tensor(192, 192, 2)
    sizes, errors = [], []
    for half_steps in (0, 60, 200):
        quality = torch.tensor([half_steps])
        streams = codec.encode(x, quality, codec.Options())
        sizes.append(len(streams[0][0].data))
        latents = codec.network.analyse(x, quality)
        left = latents - codec.network.latents(codec.network.indices(latents, half_steps))
        errors.append(float(left.square().mean()))
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)


def test_exported_weights_give_the_same_codec(codec: Vqgan) -> None:
    first, second = (Vqgan(CodesConfig(**TINY)) for _ in range(2))
    first.load_exported(codec.exported())
    second.load_exported(first.exported())
    x, quality = picture_tensor(64, 128), torch.tensor([150])
    options = codec.Options()
    assert first.eval().encode(x, quality, options) == second.eval().encode(x, quality, options)


def test_a_stream_of_another_codec_is_refused(codec: Vqgan) -> None:
    x, quality = picture_tensor(64, 128), torch.tensor([150])
    ((stream,),) = codec.encode(x, quality, codec.Options())
    other = tiny_vqgan()
    with torch.no_grad():
        for level in other.network.each_level():
            level.frequencies.costs.copy_(torch.arange(level.codes) % 40)
            level.context.leave.bias_int.random_(-90, 90)
    with pytest.raises(SymbolMismatchError):
        other.decode([(stream,)], (64, 128), quality)


def test_each_level_is_coded_in_the_way_that_is_smallest(codec: Vqgan) -> None:
    x, quality, size = picture_tensor(192, 256, 5), 150, (192, 256)
    ((stream,),) = codec.encode(x, torch.tensor([quality]), codec.Options())
    indices = codec.network.indices(codec.network.analyse(x, torch.tensor([quality])), quality)
    for mode in Mode:
        writer = PictureWriter()
        PlainAreas.code(writer, PlainAreas.none(size), size)
        codec.code_indices(writer, indices, size, quality, [mode] * len(indices))
        worth = WORTH[mode] * sum(each.numel() for each in indices)  # one that is quicker may be taken
        assert 8 * len(stream.data) <= 8 * len(writer.finish().data) + worth + 32


def test_a_drawing_of_few_colours_is_without_loss(codec: Vqgan) -> None:
    bars = torch.tensor([[0.0, 1, 1, 0], [1, 1, 0, 0], [0, 1, 0, 1]]).repeat_interleave(64, 1)  # four of 64 columns
    x, quality = bars[None, :, None].expand(1, 3, 192, 256).contiguous(), torch.tensor([200])
    streams = codec.encode(x, quality, codec.Options())
    assert torch.equal(codec.decode(streams, (192, 256), quality), x)
    assert len(streams[0][0].data) < 60
    repaired, lost = codec.repair(list(streams[0]), (192, 256), 200)
    assert torch.equal(repaired, x)
    assert lost == 0
    pieces = codec.encode(x, quality, codec.Options(packets=3))  # they decode by themselves, so they have codes
    assert not torch.equal(codec.decode(pieces, (192, 256), quality), x)


def test_areas_without_loss_beside_codes_are_refused(codec: Vqgan) -> None:
    size, mode = (128, 128), torch.zeros(2, 2, dtype=torch.int64)
    mode[0, 0] = LOSSLESS
    writer = PictureWriter()
    PlainAreas.code(writer, PlainAreas.of(mode, np.zeros((*size, 3), dtype=np.uint8)), size)
    with pytest.raises(CorruptError, match="no writer"):
        codec.decode([(writer.finish(),)], size, torch.tensor([0]))


def test_codebooks_of_whole_groups() -> None:
    with pytest.raises(ValueError, match="multiples of it"):
        CodesConfig(**{**TINY, "codes": (16, 32, 100, 16)})


@pytest.mark.parametrize(
    "changes",
    [{"factors": (4,)}, {"first": (5, 10, 40, 120)}, {"factors": (), "codes": (), "channels": (), "first": ()}],
)
def test_levels_that_do_not_fit_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="one of each level"):
        CodesConfig(**{**TINY, **changes})
