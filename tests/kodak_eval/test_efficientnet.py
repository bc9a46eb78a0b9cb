"""Distances of EfficientNet's features as metrics of `nicodec eval`."""

from __future__ import annotations

import numpy as np
import pytest

from kodak_eval import metrics, patches
from kodak_eval.errors import MetricUnavailableError

from ..conftest import smooth_picture

try:
    patches.efficientnet()
except MetricUnavailableError as error:
    pytest.skip(str(error), allow_module_level=True)


def test_distance_of_pictures():
    original = smooth_picture(96, 128)
    noisy = np.clip(original + np.random.default_rng(0).normal(0, 20, original.shape), 0, 255).astype(np.uint8)
    values, failures = metrics.measure(original, noisy, ["efficientnet"])
    assert not failures
    assert values["efficientnet"] > 0.02
    assert metrics.measure(original, original, ["efficientnet"])[0]["efficientnet"] == pytest.approx(0, abs=1e-5)
    assert metrics.METRICS["efficientnet"].key().startswith("efficientnet 0.")


def test_distance_of_sets():
    network, fingerprint = patches.efficientnet()
    assert "efficientnet-lite0" in fingerprint
    (features,) = patches.features_of(smooth_picture(400, 400), network)
    assert features.shape == (2, 1280)
    assert metrics.choose(["psnr", "efficientnet_frechet"]) == (["psnr", "efficientnet_frechet"], {})
    assert "ask for it" in metrics.choose(None)[1]["efficientnet_frechet"]
    assert metrics.of_pictures(["efficientnet", "efficientnet_frechet"]) == ("efficientnet",)
