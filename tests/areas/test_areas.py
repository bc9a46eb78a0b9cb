"""Areas that are coded plainly: what is written is read, nothing else of the picture changes, damage is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nicodec.areas.lossless import PACKED, _encode_packed, _encode_vp8l, decode_lossless, encode_lossless
from nicodec.areas.plain import LATENT, LOSSLESS, RESIDUAL, PlainAreas
from nicodec.areas.residual import AREA, coefficients_of, from_coefficients, step_of
from nicodec.entropy.coder import PictureReader, PictureWriter
from nicodec.errors import CorruptError

from ..hostile import whole_pictures
from ..hostile_report import png_size

RATE_WEIGHT = 0.02


def drawing(rows: int, columns: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    palette = random.integers(256, size=(6, 3), dtype=np.uint8)
    return palette[random.integers(6, size=(AREA * rows, AREA * columns))]


def as_tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    seed=st.integers(0, 999),
    kinds=st.sets(st.integers(0, 2), min_size=1),
)
@settings(deadline=None, max_examples=30)
def test_what_is_written_is_read_and_the_rest_stays(rows: int, columns: int, seed: int, kinds: set[int]) -> None:
    pixels = drawing(rows, columns, seed)
    random = np.random.default_rng(seed)
    mode = torch.from_numpy(random.choice(sorted(kinds), (rows, columns)))
    areas = PlainAreas.of(mode, pixels)
    x, size = as_tensor(pixels), (AREA * rows, AREA * columns)
    x_hat = torch.full_like(x, 0.5) + 0.1 * torch.sin(torch.arange(x.shape[2]) / 9)

    writer = PictureWriter()
    PlainAreas.code(writer, areas, size)
    residual = areas.code_residual(writer, x, x_hat, RATE_WEIGHT)
    stream = writer.finish()
    reader = PictureReader(stream)
    read = PlainAreas.code(reader, None, size)
    same = read.code_residual(reader, None, None, RATE_WEIGHT)
    reader.finish()

    assert torch.equal(read.mode, mode)
    assert read.tiles == areas.tiles
    assert (residual is None) == (same is None)
    assert residual is None or torch.equal(residual, same)
    shown = read.lay_over(x_hat.clone(), same, RATE_WEIGHT)
    for row in range(rows):
        for column in range(columns):
            place = (slice(None), slice(AREA * row, AREA * (row + 1)), slice(AREA * column, AREA * (column + 1)))
            if mode[row, column] == LATENT:
                assert torch.equal(shown[place], x_hat[place])
            elif mode[row, column] == LOSSLESS:
                assert torch.equal((255 * shown[place]).round(), (255 * x[place]).round())
            else:
                error = (255 * (shown[place] - x[place])).square().mean().sqrt()
                assert error < 0.6 * step_of(RATE_WEIGHT)


def test_none_costs_nothing() -> None:
    writer = PictureWriter()
    PlainAreas.code(writer, PlainAreas.none((512, 768)), (512, 768))
    assert len(writer.finish().data) <= 4
    one, many = PictureWriter(), PictureWriter()
    for writer, count in ((one, 1), (many, 500)):
        for _ in range(count):
            PlainAreas.code(writer, PlainAreas.none((512, 768)), (512, 768))
    assert len(many.finish().data) <= len(one.finish().data) + 4


def test_the_transform_is_orthonormal() -> None:
    x = torch.randn(3, 2 * AREA, 3 * AREA)
    coefficients = coefficients_of(x)
    assert torch.allclose(coefficients.square().sum(), x.square().sum(), rtol=1e-4)
    back = from_coefficients(coefficients)
    for number, part in enumerate(back):
        row, column = divmod(number, 3)
        assert torch.allclose(
            part, x[:, AREA * row : AREA * (row + 1), AREA * column : AREA * (column + 1)], atol=1e-4
        )


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    colours=st.sampled_from([1, 2, 3, 4, 5, 16, 17, 256, 5000]),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_lossless_pixels_come_back(height: int, width: int, colours: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    palette = random.integers(256, size=(colours, 3), dtype=np.uint8)
    pixels = palette[random.integers(colours, size=(height, width))]
    for data in (encode_lossless(pixels), _encode_vp8l(pixels, fast=False), _encode_packed(pixels)):
        assert data is None or np.array_equal(decode_lossless(data, height, width), pixels)


def test_long_repeats_take_the_packed_form() -> None:
    text = whole_pictures()["text-1bit"]
    data = encode_lossless(text)
    assert data[0] == PACKED
    assert len(data) < png_size(text)
    with pytest.raises(CorruptError, match="another size"):
        decode_lossless(data, text.shape[0] + 1, text.shape[1])
    with pytest.raises(CorruptError, match="another size"):
        decode_lossless(data[:-9], *text.shape[:2])
    six = _encode_packed(drawing(1, 1, 0))
    assert six is not None
    with pytest.raises(CorruptError, match="does not list"):
        decode_lossless(six[:2] + bytes([4]) + six[3:18] + six[21:], AREA, AREA)


def test_damage_is_told_before_anything_is_decoded() -> None:
    data = _encode_vp8l(drawing(1, 1, 0), fast=False)
    with pytest.raises(CorruptError, match="another size"):
        decode_lossless(data, AREA, AREA + 1)
    with pytest.raises(CorruptError, match="begin"):
        decode_lossless(b"\0" + data[1:], AREA, AREA)
    with pytest.raises(CorruptError):
        decode_lossless(data[:20], AREA, AREA)


def test_a_length_that_cannot_be_is_refused() -> None:
    areas = PlainAreas(torch.full((1, 1), LOSSLESS), (bytes(70_000),))
    writer = PictureWriter()
    with pytest.raises(CorruptError, match="length"):
        PlainAreas.code(writer, areas, (AREA, AREA))
    with pytest.raises(CorruptError, match="length"):
        PlainAreas.code(PictureReader(writer.finish()), None, (AREA, AREA))


def test_residual_of_noise_costs_what_its_entropy_does() -> None:
    random = np.random.default_rng(5)
    x = as_tensor(random.integers(256, size=(2 * AREA, 2 * AREA, 3), dtype=np.uint8))
    areas = PlainAreas(torch.full((2, 2), RESIDUAL))
    writer = PictureWriter()
    areas.code_residual(writer, x, torch.full_like(x, 0.5), RATE_WEIGHT)
    bits = 8 * len(writer.finish().data) / x.numel()
    deviation = 255 / 12**0.5 / step_of(RATE_WEIGHT)
    assert bits < 0.5 * np.log2(2 * np.pi * np.e * deviation**2) * 1.06
