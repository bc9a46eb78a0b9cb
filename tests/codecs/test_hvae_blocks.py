"""Latent blocks of `hvae`: alone, as QRes-VAE has them, and of 1/8 after its other levels."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import nicodec
from nicodec.codecs import build_codec
from nicodec.codecs.hvae import Hvae, HvaeConfig, HvaeOptions
from nicodec.entropy.coder import PictureReader, Stream
from nicodec.errors import CorruptError, InputError, SymbolMismatchError
from nicodec.training.loss import rate_distortion
from nicodec.training.recipe import read_recipe
from nicodec.training.run import train_recipe
from nicodec.zoo import write_model

from ..conftest import TINY, smooth_picture, tiny_codec
from ..test_numbers_contract import SETTINGS, setting
from .test_hvae import COARSE, crops_of
from .test_hyperprior import Recorder, picture_tensor

ALONE = {
    "latents": 0,
    "strides": (64, 32, 16, 8),
    "blocks": (1, 1, 2, 1),
    "block_latents": (6, 5, 4, 4),
    "widths": (24, 24, 24, 16),
    "encoder_blocks": (0, 1, 1, 1),
    "block_scales": 12,
}
AFTER = {
    **TINY,
    **COARSE,
    "strides": (8,),
    "blocks": (2,),
    "block_latents": (6,),
    "widths": (192,),
    "encoder_blocks": (0,),
    "block_scales": 12,
}
RECIPE = Path(__file__).resolve().parents[2] / "examples" / "hvae-34m.toml"


def drawn(config: dict[str, object]) -> Hvae:
    """A codec whose every parameter is random, as training may leave them."""
    torch.manual_seed(3)
    codec = build_codec("hvae", config)
    assert isinstance(codec, Hvae)
    if codec.config.latents:
        codec.start_from_model(tiny_codec(), crops_of(6))
    with torch.no_grad():
        for parameter in codec.latent_blocks.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    codec.to_integers()
    return codec.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["alone", "after other levels"])
def codec(request: pytest.FixtureRequest) -> Hvae:
    return drawn(ALONE if request.param == "alone" else AFTER)


def encoded(codec: Hvae, x: Tensor, quality: int) -> tuple[Stream, ...]:
    (streams,) = codec.encode(x, torch.tensor([quality]), HvaeOptions())
    return streams


def decoded(codec: Hvae, streams: tuple[Stream, ...], x: Tensor, quality: int) -> Tensor:
    return codec.decode([streams], (x.shape[2], x.shape[3]), torch.tensor([quality]))


def symbols_of(codec: Hvae, streams: tuple[Stream, ...], x: Tensor, quality: int) -> list[Tensor]:
    """What a decoder reads; in the order of the file."""
    rest, found = iter(streams), list[Recorder]()

    def next_coder() -> Recorder | None:
        stream = next(rest, None)
        if stream is not None:
            found.append(Recorder(PictureReader(stream)))
        return None if stream is None else found[-1]

    for _ in codec.code_levels(next_coder, None, (x.shape[2], x.shape[3]), torch.tensor([quality])):
        found[-1].inner.finish()
    return [each for coder in found for each in coder.symbols]


def test_every_prefix_decodes(codec: Hvae) -> None:
    x = picture_tensor(128, 64, 2)
    for quality in (20, 170):
        streams = encoded(codec, x, quality)
        assert len(streams) == sum(codec.config.blocks) + (codec.config.latents > 0) * (len(streams) - 2)
        pictures = [decoded(codec, streams[: n + 1], x, quality) for n in range(len(streams))]
        assert all(one.shape == x.shape and bool(torch.isfinite(one).all()) for one in pictures)
        assert any(not torch.equal(one, other) for one, other in pairwise(pictures))
        with pytest.raises(CorruptError, match="levels"):
            decoded(codec, (*streams, streams[-1]), x, quality)
        wrong = (*streams[:-1], Stream(streams[-1].data, streams[-1].checksum ^ 1))
        with pytest.raises(SymbolMismatchError):
            decoded(codec, wrong, x, quality)


def test_every_setting_decodes_every_other(codec: Hvae) -> None:
    x = picture_tensor(128, 128, 5)
    written = []
    for options in SETTINGS.values():
        with setting(**options):
            written.append(encoded(codec, x, 150))
    for streams in written:
        levels = []
        for options in SETTINGS.values():
            with setting(**options):
                levels.append((decoded(codec, streams, x, 150).float().clamp(0, 1) * 255).round())
        assert all(float((levels[0] - other).abs().max()) <= 1 for other in levels[1:])


def test_scales_see_symbols_alone(codec: Hvae, monkeypatch: pytest.MonkeyPatch) -> None:
    """Means and what goes through may be anything: the symbols that are read stay the same."""
    x = picture_tensor(64, 128, 4)
    streams = encoded(codec, x, 180)
    before = symbols_of(codec, streams, x, 180)
    assert sum(int(each.count_nonzero()) for each in before) > 50
    for block in codec.latent_blocks.each():
        for module in (block.front, block.prior, block.project, block.end):

            def disturbed(*args: Tensor, forward=module.forward) -> Tensor:  # type: ignore[no-untyped-def]
                return forward(*args) * 1.1 + 0.05

            monkeypatch.setattr(module, "forward", disturbed)
    after = symbols_of(codec, streams, x, 180)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_exported_weights_give_the_same_codec(codec: Hvae) -> None:
    x, quality = picture_tensor(64, 64, 6), torch.tensor([140])
    first, second = (build_codec("hvae", ALONE if not codec.config.latents else AFTER) for _ in range(2))
    first.load_exported(codec.exported())
    second.load_exported(first.exported())
    assert first.eval().encode(x, quality, HvaeOptions()) == second.eval().encode(x, quality, HvaeOptions())


def test_blocks_after_other_levels_begin_as_a_better_picture() -> None:
    codec = build_codec("hvae", AFTER)
    assert isinstance(codec, Hvae)
    codec.start_from_model(tiny_codec(), crops_of(6))
    codec.to_integers()
    codec.eval()
    x = picture_tensor(128, 128, 3)
    with torch.no_grad():
        streams = encoded(codec, x, 200)
        errors = [float((decoded(codec, streams[:n], x, 200) - x).square().mean()) for n in (-2, None)]
    assert errors[1] < 0.8 * errors[0]


def steps_of(codec: Hvae, x: Tensor, quality: Tensor, count: int, rate: float) -> list[float]:
    """Train for some steps on the same crops; what the loss was in each."""
    optimiser, losses = torch.optim.AdamW(codec.train().parameters(), lr=rate), []
    for _ in range(count):
        torch.manual_seed(0)  # the same crops end with the same levels
        x_hat, bits = codec(x, quality)
        loss, _, _ = rate_distortion(x, x_hat, bits, codec.rate_weight(quality), -0.5)
        optimiser.zero_grad()
        loss.backward()
        assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in codec.parameters())
        optimiser.step()
        losses.append(float(loss.detach()))
    codec.to_integers()
    codec.eval().requires_grad_(False)
    return losses


def test_trains_and_writes_files(tmp_path: Path) -> None:
    torch.manual_seed(0)
    codec = build_codec("hvae", ALONE)
    assert isinstance(codec, Hvae)
    x = torch.cat([picture_tensor(64, 64, seed) for seed in range(4)])
    losses = steps_of(codec, x, torch.tensor([0, 60, 130, 200]), 20, 2e-3)
    assert losses[-1] < 0.9 * losses[0]
    write_model(codec, "hvae", tmp_path / "small")
    model, pixels = nicodec.load(tmp_path / "small"), smooth_picture(60, 70, 9)
    data = model.compress(Image.fromarray(pixels), 80)
    whole = np.asarray(model.decompress(data))
    assert whole.shape == pixels.shape
    assert np.asarray(model.decompress(data, upto=1)).shape == pixels.shape
    arriving = nicodec.ProgressiveDecoder(model=model)
    assert arriving.feed(data[: len(data) // 2]) is not None
    assert 0 < arriving.levels < 5
    assert np.array_equal(np.asarray(arriving.feed(data[len(data) // 2 :])), whole)
    assert arriving.levels == 5


def test_the_published_layout_trains_and_codes() -> None:
    torch.manual_seed(0)
    codec = build_codec("hvae", read_recipe(RECIPE).model)
    assert isinstance(codec, Hvae)
    assert 32e6 < sum(parameter.numel() for parameter in codec.parameters()) < 38e6
    x, quality = picture_tensor(64, 64, 3), torch.tensor([120])
    losses = steps_of(codec, x, quality, 3, 2e-5)
    assert losses[-1] < losses[0]
    (streams,) = codec.encode(x, quality, HvaeOptions(effort=1))
    assert len(streams) == 12
    found = [decoded(codec, streams[:count], x, 120) for count in (1, 12)]
    assert all(each.shape == x.shape and bool(torch.isfinite(each).all()) for each in found)
    with torch.inference_mode():
        estimated, _ = codec(x, quality)
    assert torch.allclose(found[1], estimated, atol=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        {**ALONE, "strides": (64, 32, 16, 4)},
        {**ALONE, "blocks": (1, 1, 2)},
        {**ALONE, "blocks": (1, 0, 2, 1)},
        {**AFTER, "strides": (16,)},
        {**AFTER, "widths": (64,)},
        {"latents": 0},
        {**ALONE, "strides": (32, 16, 8, 4)},
    ],
)
def test_sizes_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"blocks|strides|wide|grid"):
        HvaeConfig(**wrong)  # type: ignore[arg-type]


def test_such_layouts_start_from_no_model() -> None:
    with pytest.raises(ValueError, match="no model"):
        build_codec("hvae", ALONE).start_from_model(tiny_codec(), crops_of(1))


def test_recipe_says_what_does_not_fit(tmp_path: Path) -> None:
    wrong = RECIPE.read_text(encoding="utf-8").replace("blocks = [1, 2, 3, 3, 3]", "blocks = [1, 2, 3, 3]")
    (tmp_path / "recipe.toml").write_text(wrong, encoding="utf-8")
    with pytest.raises(InputError, match="one of each grid"):
        train_recipe(tmp_path / "recipe.toml", out=tmp_path / "out", data=[tmp_path], say=lambda text: None)


def test_the_recipe_trains(tmp_path: Path) -> None:
    """As it stands but for its sizes."""
    for seed in range(3):
        Image.fromarray(smooth_picture(80, 96, seed)).save(tmp_path / f"{seed}.png")
    text = RECIPE.read_text(encoding="utf-8")
    sizes = "\n".join(f"{key} = {list(v) if isinstance(v, tuple) else v}" for key, v in ALONE.items())
    small = text[: text.index("[model]")] + f"[model]\n{sizes}\n" + text[text.index("[objective]") :]
    small = small.replace("crop = 256\nbatch = 16", "crop = 64\nbatch = 2").replace("600_000", "2")
    small = small.replace("[data]", "[data]\nholdout = 1")
    (tmp_path / "recipe.toml").write_text(small, encoding="utf-8")
    weights = train_recipe(tmp_path / "recipe.toml", out=tmp_path / "out", data=[tmp_path], say=lambda text: None)
    assert nicodec.load(weights.parent).compress(smooth_picture(64, 64, 1), 50)
