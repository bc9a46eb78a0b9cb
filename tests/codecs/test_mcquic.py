"""Codes of many codebooks in levels: any first packets are a picture, and more of them a better one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nicodec.codecs.mcquic import Mcquic, McquicConfig
from nicodec.entropy.coder import Stream
from nicodec.errors import SymbolMismatchError

from .test_vqgan import picture_tensor, started

TINY = {
    "latents": 12,
    "analysis_blocks": (1, 1),
    "synthesis_blocks": (1, 1),
    "factors": (4, 2, 1, 1, 1),
    "codes": (16, 32, 64, 64, 16),
    "channels": (6, 8, 4, 4, 4),
    "first": (0, 0, 0, 30, 120),
    "embedding": 6,
    "context": 12,
    "packets": (2, 4),
}
"""Configuration small enough for tests."""


@pytest.fixture(scope="module")
def codec() -> Mcquic:
    torch.manual_seed(0)
    return started(Mcquic(McquicConfig(**TINY)))


@settings(max_examples=10)
@given(rows=st.integers(1, 3), columns=st.integers(1, 3), quality=st.integers(0, 200), seed=st.integers(0, 99))
def test_what_is_encoded_is_decoded(codec: Mcquic, rows: int, columns: int, quality: int, seed: int) -> None:
    size, q = (64 * rows, 64 * columns), torch.tensor([quality])
    x = picture_tensor(*size, seed)
    indices = codec.network.indices(codec.network.analyse(x, q), quality)
    (packets,) = codec.encode(x, q, codec.Options())
    assert len(packets) == len(codec.config.packet_levels(quality))
    wanted = codec.network.synthesise(codec.network.latents(indices), q)
    assert torch.allclose(codec.decode([packets], size, q), wanted, atol=1e-5)


@pytest.mark.parametrize(("quality", "packets"), [(0, 2), (30, 2), (119, 2), (120, 3), (200, 3)])
def test_quality_picks_groups_and_packets(codec: Mcquic, quality: int, packets: int) -> None:
    levels = codec.config.packet_levels(quality)
    assert len(levels) == packets
    assert [number for numbers in levels for number in numbers] == list(range(codec.config.levels(quality)))
    assert codec.config.ends(quality)[-1] == codec.config.levels(quality)


def test_every_packet_brings_the_latents_closer(codec: Mcquic) -> None:
    quality, size = torch.tensor([200]), (128, 192)
    x = picture_tensor(*size, 3)
    latents = codec.network.analyse(x, quality)
    indices = codec.network.indices(latents, 200)
    errors = [float((latents - codec.network.latents(indices[:end])).square().mean()) for end in (2, 4, 5)]
    assert errors == sorted(errors, reverse=True)
    (packets,) = codec.encode(x, quality, codec.Options())
    for count, end in enumerate((2, 4, 5), 1):
        wanted = codec.network.synthesise(codec.network.latents(indices[:end]), quality)
        assert torch.allclose(codec.decode([packets[:count]], size, quality), wanted, atol=1e-5)


def test_static_tables_give_the_same_picture(codec: Mcquic) -> None:
    quality, size = torch.tensor([200]), (128, 192)
    x = picture_tensor(*size, 4)
    learned, static = (codec.encode(x, quality, codec.Options(prior=prior)) for prior in ("learned", "static"))
    assert sum(len(each.data) for each in static[0]) >= 0.9 * sum(len(each.data) for each in learned[0])
    assert torch.equal(codec.decode(learned, size, quality), codec.decode(static, size, quality))


def test_a_wrong_packet_is_refused(codec: Mcquic) -> None:
    quality, size = torch.tensor([200]), (64, 128)
    (packets,) = codec.encode(picture_tensor(*size), quality, codec.Options())
    wrong = (packets[0], Stream(packets[2].data, packets[1].checksum), packets[2])
    with pytest.raises(SymbolMismatchError):
        codec.decode([wrong], size, quality)


@pytest.mark.parametrize("packets", [(0, 2), (2, 2), (2, 5), (3, 1)])
def test_packets_that_do_not_fit_are_refused(packets: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rising numbers of levels"):
        McquicConfig(**{**TINY, "packets": packets})


def test_levels_have_components_of_their_own(codec: Mcquic) -> None:
    bases = [level.basis for level in codec.network.each_level() if level.factor == 1]
    assert not torch.allclose(bases[0], bases[1], atol=0.1)
