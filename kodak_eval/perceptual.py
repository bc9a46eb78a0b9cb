"""Perceptual metrics by their own packages; none of them downloads anything.

SSIMULACRA 2 is the one that always runs: the package ``ssimulacra2`` is pure Python (numpy and scipy),
a port of libjxl's, and needs no weights. LPIPS and DISTS need networks: they run where their packages
are installed and the backbone's weights already lie in torch's cache, and say so where not.
"""

from __future__ import annotations

import functools
import io
import os
from pathlib import Path

import numpy as np

from kodak_eval.errors import MetricUnavailableError

BACKBONES = {"lpips": "alexnet-owt-7be5be79.pth", "dists": "vgg16-397923af.pth"}
"""torchvision's files of the ImageNet networks under LPIPS and DISTS."""


def ssimulacra2(original: np.ndarray, decoded: np.ndarray) -> float:
    """SSIMULACRA 2 of (H, W, 3) uint8 pictures: 100 for equal ones, 90 hardly visible, 30 low quality.

    Raises:
        MetricUnavailableError: the package is missing.

    """
    try:
        from ssimulacra2 import compute_ssimulacra2
    except ImportError as error:
        raise MetricUnavailableError("SSIMULACRA 2 needs its package: pip install ssimulacra2") from error
    return float(compute_ssimulacra2(_as_file(original), _as_file(decoded)))


def _as_file(pixels: np.ndarray) -> io.BytesIO:
    """Return an uncompressed picture in memory: the package reads files only."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PPM")
    return buffer


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


def _network_distance(name: str, original: np.ndarray, decoded: np.ndarray) -> float:
    network = _network(name)
    import torch

    x, y = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() / 255 for p in (original, decoded))
    with torch.inference_mode():
        return float(network(2 * x - 1, 2 * y - 1) if name == "lpips" else network(x, y))


@functools.cache
def _network(name: str):
    weights = _torch_cache() / BACKBONES[name]
    if not weights.is_file():
        raise MetricUnavailableError(
            f"{name.upper()} needs its backbone's weights, which are not downloaded here: put {weights.name} "
            f"(download.pytorch.org/models) into {weights.parent}"
        )
    try:
        if name == "lpips":
            from lpips import LPIPS

            return LPIPS(net="alex", verbose=False).eval()
        from DISTS_pytorch import DISTS

        return DISTS().eval()
    except ImportError as error:
        package = "lpips" if name == "lpips" else "dists-pytorch"
        raise MetricUnavailableError(f"{name.upper()} needs its package ({error}): pip install {package}") from error


def _torch_cache() -> Path:
    """Where torch keeps checkpoints, without importing it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "torch"
    return Path(os.environ.get("TORCH_HOME", cache)).expanduser() / "hub" / "checkpoints"
