"""FID and KID on patches: which patches, whose formulae, and what is said where the network is missing."""

import dataclasses
import math
import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image

from kodak_eval import datasets, metrics, patches, runner
from kodak_eval.averages import average
from kodak_eval.cache import Cache
from kodak_eval.errors import MetricUnavailableError
from kodak_eval.set_curves import set_averages

from .rounding_codec import Rounding


def small_network(tiles):
    """Stands for Inception: means and deviations of the quarters of each patch, 24 features."""
    quarters = tiles.float().unfold(2, 128, 128).unfold(3, 128, 128)
    return torch.cat([quarters.mean((-1, -2)).flatten(1), quarters.std((-1, -2)).flatten(1)], 1)


@pytest.mark.parametrize(
    ("size", "count"), [((512, 768), 8), ((256, 256), 1), ((384, 384), 2), ((383, 600), 2), ((255, 900), 0)]
)
def test_patches_are_whole_tiles_and_those_shifted_by_half(size, count):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    found = list(patches.patches(pixels))
    assert len(found) == count
    assert all(patch.shape == (256, 256, 3) for patch in found)
    if size == (512, 768):
        assert np.array_equal(found[5], pixels[256:, 512:])
        assert np.array_equal(found[6], pixels[128:384, 128:384])
        assert np.array_equal(found[7], pixels[128:384, 384:640])


def test_distances_equal_the_formulae():
    pytest.importorskip("torchmetrics", reason="the package torchmetrics is not installed")
    random = np.random.default_rng(1)
    a, b = random.normal(0, 1, (200, 6)), random.normal(0.4, 1.3, (200, 6))
    found = patches.distances(torch.from_numpy(a).float(), torch.from_numpy(b).float())
    one, two = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.sqrt(np.linalg.eigvals(one @ two)).real.sum()
    gap = a.mean(0) - b.mean(0)
    assert found["fid"] == pytest.approx(gap @ gap + np.trace(one) + np.trace(two) - 2 * root, rel=1e-3)
    aa, bb, ab = ((x @ y.T / 6 + 1) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    within = sum((k.sum() - np.trace(k)) / (200 * 199) for k in (aa, bb))
    assert found["kid"] == pytest.approx(within - 2 * ab.mean(), rel=1e-3)


def test_equal_sets_have_no_distance():
    pytest.importorskip("torchmetrics", reason="the package torchmetrics is not installed")
    features = torch.randn(50, 5)
    assert patches.distances(features, features)["fid"] == pytest.approx(0, abs=1e-3)


@pytest.fixture
def large(tmp_path):
    """Two pictures of two patches each, and one too small for any."""
    random = np.random.default_rng(2)
    (tmp_path / "large").mkdir()
    for name, side in {"a": 384, "b": 400, "small": 200}.items():
        pixels = random.integers(0, 256, (side // 8, side // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels).save(tmp_path / "large" / f"{name}.png")
    return datasets.load("large", tmp_path / "large")


def test_curves_of_sets_are_cached_by_content(large, tmp_path):
    pytest.importorskip("torchmetrics", reason="the package torchmetrics is not installed")
    codecs = [Rounding(settings=(96, 24)), Rounding(name="finer", label="Finer", settings=(12, 6))]
    jobs = runner.plan(large, codecs, ["psnr"])
    like = average("psnr", codecs, runner.run(jobs, tmp_path / "cache", processes=1))
    calls = []

    def network(tiles):
        calls.append(len(tiles))
        return small_network(tiles)

    def curves(fingerprint):
        return set_averages(["fid", "kid"], like, jobs, Cache(tmp_path / "cache"), network, fingerprint)

    found = curves("stand-in 1")
    coarse, fine = found["fid"].curves
    assert coarse.rates == like.curves[0].rates
    assert coarse.settings == (96, 24)
    assert coarse.qualities[0] > coarse.qualities[1] > fine.qualities[1] >= -1e-3
    assert found["kid"].pictures == ("a", "b", "small")
    assert sum(calls) == 4 + 4 * 4  # the originals once, and four points
    calls.clear()
    assert curves("stand-in 1") == found
    assert calls == []
    curves("stand-in 2")
    assert calls != []


def test_pictures_without_patches_give_no_curve(dataset, tmp_path):
    codec = Rounding(settings=(96, 24))
    jobs = runner.plan(dataset, [codec], ["psnr"])
    like = average("psnr", [codec], runner.run(jobs, tmp_path, processes=1))
    found = set_averages(["fid"], like, jobs, Cache(tmp_path), small_network, "stand-in")["fid"]
    assert (found.curves, found.pictures) == ((), ())
    assert "too few patches" in found.left_out["every picture"]


def test_without_weights_or_package_it_is_said_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MetricUnavailableError, match=r"weights-inception.*into .*checkpoints, or give --inception"):
        metrics.choose(["fid"])
    assert "put weights-inception" in metrics.choose(None)[1]["kid"]
    file = tmp_path / "mine.pth"
    file.write_bytes(b"no weights")
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(MetricUnavailableError, match="pip install torchmetrics torch-fidelity"):
        metrics.choose(["fid"], file)


def test_sets_are_compared_only_where_that_is_asked_for(tmp_path, monkeypatch):
    pytest.importorskip("torchmetrics", reason="the package torchmetrics is not installed")
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    file = tmp_path / "mine.pth"
    file.write_bytes(b"there")
    assert "ask for it with -m fid" in metrics.choose(None, file)[1]["fid"]
    assert metrics.choose(["psnr", "fid"], file) == (["psnr", "fid"], {})
    assert metrics.of_pictures(["psnr", "fid"]) == ("psnr",)


def test_inception_with_random_weights_from_a_file(tmp_path):
    """The real network of the real package, as far as that goes without its weights."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torch-fidelity cannot be imported: {error}")
    pytest.importorskip("torchmetrics", reason="the package torchmetrics is not installed")
    file = tmp_path / "weights.pth"
    file.write_bytes(b"nothing")
    with pytest.raises(MetricUnavailableError, match="holds no Inception weights"):
        patches.inception(file)
    saved = {}

    def empty(self, state):
        saved.update(self.state_dict())

    original = FeatureExtractorInceptionV3.load_state_dict
    FeatureExtractorInceptionV3.load_state_dict = empty
    try:
        torch.save({}, file)
        patches.inception(file)
    finally:
        FeatureExtractorInceptionV3.load_state_dict = original
    torch.save(saved, file)
    pixels = np.random.default_rng(3).integers(0, 256, (256, 256, 3), np.uint8)
    (features,) = patches.features_of(pixels, patches.inception(file))
    assert features.shape == (1, 2048)
    assert math.isfinite(float(features.sum()))


def test_the_run_writes_curves_of_sets(large, tmp_path, monkeypatch):
    pytest.importorskip("torchmetrics", reason="the package torchmetrics is not installed")
    from kodak_eval import evaluation

    weights = tmp_path / "mine.pth"
    weights.write_bytes(b"there")
    monkeypatch.setattr(patches, "inception_file", lambda given=None: weights)
    monkeypatch.setattr(patches, "inception", lambda file: small_network)
    monkeypatch.setattr(evaluation, "use_threads", lambda threads: None)
    options = evaluation.Options(
        tmp_path / "cache",
        tmp_path / "out",
        codecs=("jpeg:settings=5/20/50/80", "webp:settings=5/20/50/80"),
        metrics=("fid",),
        processes=1,
        speed_pictures=0,
        viewer_pictures=1,
    )
    results, paths = evaluation.evaluate(dataclasses.replace(large), options)
    assert results.metrics == ["psnr", "fid"]
    assert {path.name for path in paths} >= {"rd-fid.png", "rd-fid.svg", "report.html"}
    assert [len(curve.rates) for curve in results.averages["fid"].curves] == [4, 4]
