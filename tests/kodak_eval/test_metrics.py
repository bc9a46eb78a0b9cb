"""Metrics equal their reference packages on the same arrays, and name what they cannot do."""

import io
import math
import sys
import types

import numpy as np
import pytest
import pytorch_msssim
import torch
from PIL import Image
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

from kodak_eval import metrics, perceptual
from kodak_eval.errors import EvaluationError, MetricUnavailableError, PictureTooSmallError


@pytest.fixture(scope="module")
def pair():
    original = np.ascontiguousarray(data.astronaut()[:200, :240])
    noise = np.random.default_rng(0).normal(0, 6, original.shape)
    return original, np.clip(original + noise, 0, 255).astype(np.uint8)


def test_psnr_equals_scikit_image(pair):
    assert metrics.psnr_rgb(*pair) == pytest.approx(peak_signal_noise_ratio(*pair, data_range=255), abs=1e-9)


def test_ms_ssim_equals_pytorch_msssim(pair):
    x, y = (torch.from_numpy(p.transpose(2, 0, 1)[None].astype(np.float32)) for p in pair)
    assert metrics.ms_ssim(*pair) == float(pytorch_msssim.ms_ssim(x, y, data_range=255))


def test_psnr_yuv_weighs_luma_six_times():
    original = np.full((8, 8, 3), 100, np.uint8)
    lighter = original + 1  # luma alone changes, by 1/255
    assert metrics.psnr_yuv(original, lighter) == math.inf or metrics.psnr_yuv(original, lighter) > 100
    changed = original.copy()
    changed[..., 1] += 10
    delta = 10 / 255 * np.array([0.7152, -0.7152 / 1.8556, -0.7152 / 1.5748])
    y, cb, cr = -20 * np.log10(np.abs(delta))
    assert metrics.psnr_yuv(original, changed) == pytest.approx((6 * y + cb + cr) / 8, abs=1e-9)


def test_equal_pictures(pair):
    assert metrics.psnr_rgb(pair[0], pair[0]) == math.inf
    assert metrics.ms_ssim(pair[0], pair[0]) == 1


def test_small_picture_fails_ms_ssim_by_name(pair):
    small = pair[0][:160]
    with pytest.raises(PictureTooSmallError, match="at least 161 pixels, this picture has one of 160"):
        metrics.ms_ssim(small, small)
    values, failures = metrics.measure(small, small, ["psnr", "ms_ssim"])
    assert set(values) == {"psnr"}
    assert set(failures) == {"ms_ssim"}
    assert metrics.ms_ssim(pair[0][:161, :161], pair[1][:161, :161]) < 1


def test_decoded_size_is_checked(pair):
    with pytest.raises(EvaluationError, match="decoded as"):
        metrics.measure(pair[0], pair[1][1:], ["psnr"])


def test_unknown_metric():
    with pytest.raises(EvaluationError, match="unknown metric 'psrn'; known: psnr"):
        metrics.choose(["psrn"])


def test_ssimulacra2_falls_with_noise(pair):
    pytest.importorskip("ssimulacra2", reason="the package ssimulacra2 is not installed")
    assert perceptual.ssimulacra2(pair[0], pair[0]) == 100
    assert 0 < perceptual.ssimulacra2(*pair) < 95


@pytest.mark.parametrize("size", [(200, 240), (61, 37)])
def test_ssimulacra2_equals_its_package(pair, size):
    package = pytest.importorskip("ssimulacra2", reason="the package ssimulacra2 is not installed")
    original, decoded = (np.ascontiguousarray(p[: size[0], : size[1]]) for p in pair)
    files = [io.BytesIO(), io.BytesIO()]
    for file, pixels in zip(files, (original, decoded), strict=True):
        Image.fromarray(pixels).save(file, "PNG")
    theirs = package.compute_ssimulacra2(*files)
    assert perceptual.ssimulacra2(original, decoded) == theirs
    assert perceptual.ssimulacra2(decoded, original) != theirs  # the kept original is this one's
    assert perceptual.ssimulacra2(original, decoded) == theirs


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_networks_without_weights_say_where_to_put_them(name, pair, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    perceptual._network.cache_clear()
    with pytest.raises(MetricUnavailableError, match=f"{name.upper()} needs its backbone's weights"):
        metrics.METRICS[name].compute(*pair)
    chosen, missing = metrics.choose(None)
    assert name in missing
    assert "psnr" in chosen


class Difference(torch.nn.Module):
    """Stands for LPIPS and DISTS: the mean absolute difference of what it is given."""

    def __init__(self, **options):
        super().__init__()
        assert options in ({}, {"net": "alex", "verbose": False})

    def forward(self, x, y):
        assert not self.training
        return (x - y).abs().mean()


@pytest.fixture
def fresh_networks():
    """Loaded networks are kept in the process: forget them before and after."""
    perceptual._network.cache_clear()
    yield
    perceptual._network.cache_clear()


@pytest.mark.parametrize(("name", "module", "scale"), [("lpips", "lpips", 2), ("dists", "DISTS_pytorch", 1)])
def test_networks_are_loaded_where_their_weights_lie(
    name, module, scale, pair, tmp_path, monkeypatch, fresh_networks
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = tmp_path / "hub" / "checkpoints" / perceptual.BACKBONES[name]
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"the package reads them")
    package = types.ModuleType(module)
    package.LPIPS = package.DISTS = Difference
    monkeypatch.setitem(sys.modules, module, package)
    expected = np.abs(pair[0].astype(float) - pair[1]).mean() / 255 * scale  # LPIPS takes -1 to 1, DISTS 0 to 1
    assert metrics.METRICS[name].compute(*pair) == pytest.approx(expected, rel=1e-5)
    assert metrics.METRICS[name].compute(pair[0], pair[0]) == 0
    assert metrics.choose([name]) == ([name], {})


@pytest.mark.parametrize(("name", "module"), [("lpips", "lpips"), ("dists", "DISTS_pytorch")])
def test_networks_whose_package_is_missing_or_broken_say_so(
    name, module, pair, tmp_path, monkeypatch, fresh_networks
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = tmp_path / "hub" / "checkpoints" / perceptual.BACKBONES[name]
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MetricUnavailableError, match=f"{name.upper()} cannot be loaded .*pip install {name}"):
        metrics.METRICS[name].compute(*pair)

    def damaged(**options):
        raise RuntimeError("operator torchvision::nms does not exist")

    package = types.ModuleType(module)
    package.LPIPS = package.DISTS = damaged
    monkeypatch.setitem(sys.modules, module, package)
    with pytest.raises(MetricUnavailableError, match="nms does not exist"):
        metrics.METRICS[name].compute(*pair)
