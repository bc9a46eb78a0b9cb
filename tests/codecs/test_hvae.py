"""Prefixes, the traversal, the numbers contract and the training of `hvae`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nicodec.areas.lossless import is_available
from nicodec.codecs import build_codec
from nicodec.codecs.hvae import Hvae, HvaeOptions
from nicodec.codecs.hvae_plan import ALL_SECOND, LAST, POSITIONS, REFINED_FROM, REFINED_TO
from nicodec.entropy.coder import PictureReader, PictureWriter, RateEstimator, Stream, StreamDecoder, StreamEncoder
from nicodec.entropy.priors import SPLIT_FROM, SPLIT_RATIO, SPLIT_STEPS, ScaleMixture, SecondPart
from nicodec.errors import CorruptError, NicodecError, SymbolMismatchError
from nicodec.training.loss import rate_distortion

from ..conftest import TINY, tiny_codec
from ..test_numbers_contract import SETTINGS, setting
from .test_hyperprior import Recorder, picture_tensor

COARSE = {"pictured": 8, "top_latents": 6, "middle_latents": 4, "top_step": 6.0, "middle_step": 6.0}
LEVELS_BEFORE_SLICES = 2


def crops_of(pictures: int, side: int = 192) -> Tensor:
    return torch.cat([picture_tensor(side, side, seed) for seed in range(pictures)])


def started() -> Hvae:
    """A tiny one, started from a tiny hyperprior that principal components alone make."""
    torch.manual_seed(0)
    codec = build_codec("hvae", {**TINY, **COARSE})
    assert isinstance(codec, Hvae)
    codec.start_from_model(tiny_codec(), crops_of(6))
    codec.to_integers()
    return codec.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def codec() -> Hvae:
    return started()


@pytest.fixture(scope="module")
def drawn(codec: Hvae) -> tuple[Hvae, Tensor]:
    """What connects the levels is random, too: whatever training may make of it."""
    codec = started()
    torch.manual_seed(1)
    with torch.no_grad():
        for part in (codec.more_for_means, codec.more_for_scales, codec.middle_prior, codec.top, codec.middle):
            for parameter in part.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    codec.to_integers()
    return codec.eval(), picture_tensor(192, 128, 7)


def psnr(one: Tensor, other: Tensor) -> float:
    return float(-10 * torch.log10((one.clamp(0, 1) - other).square().mean()))


def encoded(codec: Hvae, x: Tensor, quality: int, **options: int) -> tuple[Stream, ...]:
    (streams,) = codec.encode(x, torch.tensor([quality]), HvaeOptions(**options))
    return streams


def decoded(codec: Hvae, streams: tuple[Stream, ...], x: Tensor, quality: int) -> Tensor:
    return codec.decode([streams], (x.shape[2], x.shape[3]), torch.tensor([quality]))


@given(quality=st.integers(0, 200), rows=st.integers(1, 3), seed=st.integers(0, 99), falling=st.data())
@settings(deadline=None, max_examples=10)
def test_decoder_sees_the_encoders_symbols(
    drawn: tuple[Hvae, Tensor], quality: int, rows: int, seed: int, falling: st.DataObject
) -> None:
    codec, _ = drawn
    x, q, size = picture_tensor(64 * rows, 128, seed), torch.tensor([quality]), (64 * rows, 128)
    above = falling.draw(st.sets(st.integers(REFINED_TO + 1, POSITIONS - 1), max_size=2))
    below = falling.draw(st.sets(st.integers(LAST + 1, REFINED_FROM - 1), max_size=1))
    refined = falling.draw(st.sets(st.integers(REFINED_FROM, REFINED_TO), min_size=bool(above), max_size=2))
    parts = falling.draw(st.sets(st.integers(ALL_SECOND + 1, POSITIONS - 1), max_size=1))
    found = sorted(above | refined, reverse=True)
    if refined:
        second = [*sorted(parts, reverse=True), ALL_SECOND]
        place = 1 + next(n for n, each in enumerate(found) if each <= REFINED_TO)
        found[place:place] = second
    thresholds = [torch.full((1, 1, 1, 1), each) for each in (*found, *below, LAST)]
    encoder = Recorder(PictureWriter())
    y = codec.base.analyse(x, q)
    depths = [depth.latents() for depth in codec.code_levels(lambda: encoder, y, size, q, thresholds)]
    stream = encoder.inner.finish()
    assert len(depths) == LEVELS_BEFORE_SLICES + len(thresholds)
    decoder = Recorder(PictureReader(stream))
    same = [depth.latents() for depth in codec.code_levels(lambda: decoder, None, size, q)]
    decoder.inner.finish()
    assert len(encoder.symbols) == len(decoder.symbols)
    assert all(torch.equal(a, b) for a, b in zip(encoder.symbols, decoder.symbols, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(depths, same, strict=True))
    estimator = Recorder(RateEstimator(noise=False))
    list(codec.code_levels(lambda: estimator, codec.base.analyse(x, q), size, q, thresholds))
    estimate = float(estimator.inner.bits) / 8
    assert abs(len(stream.data) - estimate) <= 0.01 * estimate + 64


def test_every_prefix_is_a_picture_and_better_than_the_one_before(codec: Hvae) -> None:
    x = picture_tensor(256, 256, 3)
    for quality in (60, 180):
        streams = encoded(codec, x, quality)
        found = [psnr(decoded(codec, streams[: n + 1], x, quality), x) for n in range(len(streams))]
        assert len(found) >= LEVELS_BEFORE_SLICES + 1
        assert all(after > before - 0.05 for before, after in pairwise(found)), found
        assert found[-1] > found[0] + 3


def test_a_picture_has_as_many_slices_as_asked_for(codec: Hvae) -> None:
    x = picture_tensor(128, 128, 3)
    assert len(encoded(codec, x, 180, slices=1)) == LEVELS_BEFORE_SLICES + 1
    assert len(encoded(codec, x, 180, slices=6)) > len(encoded(codec, x, 180, slices=2))


def test_a_batch_may_hold_prefixes_of_any_length(codec: Hvae) -> None:
    x = torch.cat([picture_tensor(128, 64, seed) for seed in (1, 2)])
    quality = torch.tensor([40, 170])
    streams = codec.encode(x, quality, HvaeOptions())
    both = codec.decode([streams[0][:1], streams[1]], (128, 64), quality)
    alone = codec.decode([streams[1]], (128, 64), quality[1:])
    assert torch.allclose(both[1:], alone, atol=1e-6)


def test_every_setting_decodes_every_other(drawn: tuple[Hvae, Tensor]) -> None:
    codec, x = drawn
    for quality in (30, 170):
        streams = {}
        for name, options in SETTINGS.items():
            with setting(**options):
                streams[name] = encoded(codec, x, quality)
        for written in streams.values():
            levels = []
            for options in SETTINGS.values():
                with setting(**options):
                    levels.append((decoded(codec, written, x, quality).float().clamp(0, 1) * 255).round())
            assert all(float((levels[0] - other).abs().max()) <= 1 for other in levels[1:])


def test_no_float_decides_on_a_table(drawn: tuple[Hvae, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """Means, and all that comes from them, may be anything: the symbols that are read stay the same."""
    codec, x = drawn
    size, q = (x.shape[2], x.shape[3]), torch.tensor([150])
    streams = encoded(codec, x, 150)

    def symbols() -> list[Tensor]:
        rest, found = iter(streams), []

        def next_coder() -> Recorder | None:
            stream = next(rest, None)
            if stream is None:
                return None
            found.append(Recorder(PictureReader(stream)))
            return found[-1]

        for depth in codec.code_levels(next_coder, None, size, q):
            if not depth.whole:
                found[-1].inner.finish()
        return [each for coder in found for each in coder.symbols]

    before = symbols()
    for module in (codec.top, codec.middle, codec.more_for_means, *codec.base.mean_context, codec.base.mean_hyper):

        def disturbed(*args: Tensor, forward=module.forward) -> Tensor:  # type: ignore[no-untyped-def]
            return forward(*args) * 1.1 + 0.05

        monkeypatch.setattr(module, "forward", disturbed)
    after = symbols()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_damage_is_told(codec: Hvae) -> None:
    x = picture_tensor(128, 128, 4)
    streams = encoded(codec, x, 160)
    random = np.random.default_rng(0)
    for number, stream in enumerate(streams):
        wrong = (*streams[:number], Stream(stream.data, stream.checksum ^ 1), *streams[number + 1 :])
        with pytest.raises(SymbolMismatchError):
            decoded(codec, wrong, x, 160)
        if len(stream.data) > 8:
            data = bytearray(stream.data)
            data[int(random.integers(len(data) - 4))] ^= 0x55
            broken = (*streams[:number], Stream(bytes(data), stream.checksum), *streams[number + 1 :])
            with pytest.raises(NicodecError):
                decoded(codec, broken, x, 160)
    with pytest.raises(CorruptError, match="levels"):
        decoded(codec, (*streams, streams[-1]), x, 160)


@pytest.mark.parametrize(
    "wrong", [(400, 400, 16), (480, 160, 16), (80, 150, 16), (250, 200, 16), (250, 500, 16), (250, 500, 510)]
)
def test_slices_out_of_order_are_refused(codec: Hvae, wrong: tuple[int, ...]) -> None:
    x, q, size = picture_tensor(64, 64, 1), torch.tensor([120]), (64, 64)
    writer = PictureWriter()
    thresholds = [torch.full((1, 1, 1, 1), each) for each in wrong]
    with pytest.raises(CorruptError, match="order"):
        list(codec.code_levels(lambda: writer, codec.base.analyse(x, q), size, q, thresholds))


def test_exported_weights_give_the_same_codec(drawn: tuple[Hvae, Tensor]) -> None:
    codec, x = drawn
    first = build_codec("hvae", {**TINY, **COARSE})
    first.load_exported(codec.exported())
    second = build_codec("hvae", {**TINY, **COARSE})
    second.load_exported(first.exported())
    quality = torch.tensor([140])
    assert first.eval().encode(x, quality, HvaeOptions()) == second.eval().encode(x, quality, HvaeOptions())


def test_trains() -> None:
    trained, quality = started(), torch.tensor([100])

    def loss_of_whole_files() -> float:
        trained.to_integers()
        trained.eval()
        with torch.no_grad():
            x = crops_of(3, 128)
            x_hat, bits = trained(x, quality.expand(3))
            return float(rate_distortion(x, x_hat, bits, trained.rate_weight(quality.expand(3)), -0.5)[0])

    before = loss_of_whole_files()
    torch.manual_seed(0)
    trained.train().requires_grad_(True)
    optimiser = torch.optim.AdamW(trained.parameters(), lr=3e-4)
    for step in range(20):
        x = crops_of(3, 128)[step % 3 :][:2]
        x_hat, bits = trained(x, quality.expand(len(x)))
        loss, _, _ = rate_distortion(x, x_hat, bits, trained.rate_weight(quality.expand(len(x))), -0.5)
        optimiser.zero_grad()
        loss.backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in trained.parameters())
        optimiser.step()
    assert bool(trained.more_for_means.enter.weight.detach().abs().sum() > 0), "what begins as nothing learns"
    assert bool(trained.more_for_scales.enter.weight.detach().abs().sum() > 0)
    assert loss_of_whole_files() < before


def test_objective_starts_from_a_model_and_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from nicodec.training.run import train_recipe
    from nicodec.zoo import find_model, write_model

    from ..conftest import smooth_picture

    monkeypatch.setenv("NICODEC_MODELS", str(tmp_path / "models"))
    write_model(tiny_codec(), "hyperprior", tmp_path / "models" / "little")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(6):
        Image.fromarray(smooth_picture(140, 150, seed)).save(folder / f"{seed}.png")
    model = "\n".join(f"{k} = {list(v) if isinstance(v, tuple) else v}" for k, v in {**TINY, **COARSE}.items())
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'name = "small"\ncodec = "hvae"\n[model]\n{model}\n[objective]\nname = "rate-distortion"\n'
        'start_model = "little"\nstart_crops = 8\nfilter_crops = 24\n'
        "[[objective.stages]]\ncrop = 128\nbatch = 2\n[data]\nholdout = 1\n[run]\nsteps = 3\n"
    )
    train_recipe(recipe, out=tmp_path / "models" / "small", data=[folder], say=lambda text: None)
    assert find_model("small").weights is not None


@given(index=st.integers(SPLIT_FROM, 63), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=15)
def test_two_parts_cost_as_much_as_the_whole_symbol(index: int, seed: int) -> None:
    torch.manual_seed(seed)
    deviation = 0.11 * np.exp(0.12306 * index)
    symbols = (torch.randn(1, 4, 32, 32) * deviation).round()
    indices = torch.full(symbols.shape, index)
    first = torch.round(symbols / SPLIT_RATIO)
    second = (symbols - SPLIT_RATIO * first) * torch.where(first < 0, -1.0, 1.0)
    where = torch.ones_like(symbols, dtype=torch.bool)
    parts = ScaleMixture(indices - SPLIT_STEPS), SecondPart(indices, first.abs(), where)
    bits = float(parts[0].bits(first).sum() + parts[1].bits(second).sum())
    whole = float(ScaleMixture(indices).bits(symbols).sum())
    assert abs(bits - whole) < 0.02 * whole
    encoder = StreamEncoder()
    encoder.code(second, parts[1])
    (stream,) = encoder.finish()
    decoder = StreamDecoder([stream])
    assert torch.equal(decoder.code(None, parts[1]), second)
    decoder.finish()


@pytest.mark.skipif(not is_available(), reason="this Pillow writes no WebP without loss")
def test_drawings_come_back_without_loss_and_text_beside_a_photograph_is_sharp(codec: Hvae) -> None:
    random = np.random.default_rng(0)
    x = picture_tensor(128, 192, 5)
    drawing = torch.from_numpy(random.integers(0, 2, (1, 1, 128, 96))).float().repeat_interleave(2, 3)
    streams = encoded(codec, drawing.expand(1, 3, -1, -1), 120)
    assert len(streams) == LEVELS_BEFORE_SLICES + 1
    assert torch.equal(decoded(codec, streams, drawing.expand(1, 3, -1, -1), 120), drawing.expand(1, 3, -1, -1))
    x[:, :, :64, :128] = drawing[:, :, :64, :128]
    streams = encoded(codec, x, 120)
    found = [decoded(codec, streams[: n + 1], x, 120) for n in range(len(streams))]
    for after in found[LEVELS_BEFORE_SLICES:]:
        assert psnr(after[:, :, :64, :128], x[:, :, :64, :128]) > 40
    assert psnr(found[-1], x) > psnr(found[LEVELS_BEFORE_SLICES], x) + 1
