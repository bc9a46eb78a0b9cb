"""Perceptual metrics by their own packages; none of them downloads anything.

SSIMULACRA 2 is the one that always runs: the package ``ssimulacra2`` is pure Python (numpy and scipy),
a port of libjxl's, and needs no weights. LPIPS and DISTS need networks: they run where their packages
are installed and the backbone's weights already lie in torch's cache, and say so where not.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kodak_eval.errors import MetricUnavailableError

BACKBONES = {"lpips": "alexnet-owt-7be5be79.pth", "dists": "vgg16-397923af.pth"}
"""torchvision's files of the ImageNet networks under LPIPS and DISTS."""


def ssimulacra2(original: np.ndarray, decoded: np.ndarray) -> float:
    """SSIMULACRA 2 of (H, W, 3) uint8 pictures: 100 for equal ones, 90 hardly visible, 30 low quality.

    The package's own steps in the package's order, with the original's half of them kept for the next
    decoded picture: the value is that of ``compute_ssimulacra2`` in two thirds of its time.

    Raises:
        MetricUnavailableError: the package is missing.

    """
    try:
        from ssimulacra2 import ssimulacra2 as steps
    except ImportError as error:
        raise MetricUnavailableError("SSIMULACRA 2 needs its package: pip install ssimulacra2") from error
    score = steps.Msssim()
    pairs = zip(_scales_of_original(original.tobytes(), original.shape), _scales(decoded), strict=True)
    for (xyb, mean, square), (decoded_xyb, decoded_mean, decoded_square) in pairs:
        scale = steps.MsssimScale()
        product = steps.blur_image(xyb * decoded_xyb)
        scale.avg_ssim = steps.ssim_map(mean, decoded_mean, square, decoded_square, product)
        scale.avg_edgediff = steps.edge_diff_map(xyb, mean, decoded_xyb, decoded_mean)
        score.scales.append(scale)
    return float(score.score())


@functools.lru_cache(maxsize=1)
def _scales_of_original(pixels: bytes, shape: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    return list(_scales(np.frombuffer(pixels, np.uint8).reshape(shape)))


def _scales(pixels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield XYB, its local mean and the local mean of its square at each of up to six scales."""
    from ssimulacra2 import ssimulacra2 as steps

    linear = steps.srgb_to_linear(pixels.astype(np.float64))
    for _ in range(steps.kNumScales):
        xyb = steps.make_positive_xyb(steps.linear_rgb_to_xyb(linear))
        if min(xyb.shape[:2]) < 8:
            break
        yield xyb, steps.blur_image(xyb), steps.blur_image(xyb * xyb)
        linear = steps.downsample(linear, 2, 2)


def lpips(original: np.ndarray, decoded: np.ndarray) -> float:
    """LPIPS with AlexNet (version 0.1); 0 for equal pictures.

    Raises:
        MetricUnavailableError: the package or AlexNet's weights are missing.

    """
    return _network_distance("lpips", original, decoded)


def dists(original: np.ndarray, decoded: np.ndarray) -> float:
    """DISTS (VGG16); 0 for equal pictures.

    Raises:
        MetricUnavailableError: the package or VGG16's weights are missing.

    """
    return _network_distance("dists", original, decoded)


def efficientnet(original: np.ndarray, decoded: np.ndarray) -> float:
    """Distance of features of EfficientNet-Lite0 (`nicodec.perceptual`): 0 for equal pictures; no LPIPS, no DISTS.

    Raises:
        MetricUnavailableError: the package that carries its weights is missing.

    """
    network = efficientnet_lite0()
    import torch

    from nicodec.perceptual.distances import feature_distance

    x, y = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() / 255 for p in (original, decoded))
    with torch.inference_mode():
        return float(feature_distance(network, x, y))


def efficientnet_lite0():
    """Return the network.

    Raises:
        MetricUnavailableError: the package that carries its weights is missing.

    """
    from nicodec.perceptual import networks

    try:
        return networks.efficientnet_lite0()
    except networks.NoNetworkError as error:
        raise MetricUnavailableError(f"EfficientNet's distances: {error}") from error


def _network_distance(name: str, original: np.ndarray, decoded: np.ndarray) -> float:
    network = _network(name)
    import torch

    x, y = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() / 255 for p in (original, decoded))
    with torch.inference_mode():
        return float(network(2 * x - 1, 2 * y - 1) if name == "lpips" else network(x, y))


@functools.cache
def _network(name: str):
    weights = torch_cache() / BACKBONES[name]
    if not weights.is_file():
        raise MetricUnavailableError(
            f"{name.upper()} needs its backbone's weights, which are not downloaded here: put {weights.name} "
            f"(download.pytorch.org/models) into {weights.parent}"
        )
    try:
        with warnings.catch_warnings():  # deprecations between the package and torchvision are not ours to report
            warnings.simplefilter("ignore")
            if name == "lpips":
                from lpips import LPIPS

                return LPIPS(net="alex", verbose=False).eval()
            from DISTS_pytorch import DISTS

            return DISTS().eval()
    except (ImportError, RuntimeError, OSError) as error:  # torchvision of another torch, a damaged or missing file
        package = "lpips" if name == "lpips" else "dists-pytorch"
        raise MetricUnavailableError(
            f"{name.upper()} cannot be loaded ({error}): pip install {package}, and check {weights}"
        ) from error


def torch_cache() -> Path:
    """Return where torch keeps checkpoints, without importing it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "torch"
    return Path(os.environ.get("TORCH_HOME") or cache).expanduser() / "hub" / "checkpoints"
