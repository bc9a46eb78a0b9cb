"""RGB to YCbCr and back in float64, with every choice spelt out: matrix, range, bits, chroma format.

Encoders get planes that were rounded once, and decoders' planes are turned to RGB and rounded once;
no scaler with hidden defaults stands between. Sources: ITU-R BT.601-7, BT.709-6; JFIF 1.02 for full
range; H.273 for the code values at any bit depth.
"""

from __future__ import annotations

import numpy as np

LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
"""(Kr, Kb) of the two matrices."""


def ycbcr_matrix(matrix: str) -> np.ndarray:
    """Return the (3, 3) float64 matrix from R'G'B' in [0, 1] to Y in [0, 1], Cb and Cr in [-0.5, 0.5].

    Raises:
        KeyError: ``matrix`` is neither ``bt601`` nor ``bt709``.

    """
    kr, kb = LUMA_WEIGHTS[matrix]
    luma = np.array([kr, 1 - kr - kb, kb])
    blue = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - kb))
    red = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - kr))
    return np.stack([luma, blue, red])


def _code_scale(bits: int, full_range: bool) -> tuple[np.ndarray, np.ndarray]:
    """Scale and offset, (3,) each, from (Y, Cb, Cr) to code values (H.273, equations 20 to 31)."""
    if full_range:
        peak = (1 << bits) - 1
        return np.full(3, peak, float), np.array([0.0, 1 << (bits - 1), 1 << (bits - 1)])
    step = 1 << (bits - 8)
    return np.array([219.0, 224.0, 224.0]) * step, np.array([16.0, 128.0, 128.0]) * step


def rgb_to_planes(
    pixels: np.ndarray, *, matrix: str, full_range: bool, bits: int = 8, chroma: str = "444"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn (H, W, 3) uint8 RGB into Y, Cb, Cr planes of code values, uint8 or (above 8 bits) uint16.

    4:2:0 chroma is the mean of 2x2 blocks, taken before rounding (sited in the middle, as in JPEG);
    an odd last row or column is repeated first.
    """
    scale, offset = _code_scale(bits, full_range)
    codes = pixels.astype(np.float64) / 255 @ ycbcr_matrix(matrix).T * scale + offset
    planes = [codes[..., 0], codes[..., 1], codes[..., 2]]
    if chroma == "420":
        planes[1:] = [_halve(plane) for plane in planes[1:]]
    kind = np.uint8 if bits == 8 else np.uint16
    y, cb, cr = (np.clip(np.rint(plane), 0, (1 << bits) - 1).astype(kind) for plane in planes)
    return y, cb, cr


def planes_to_rgb(
    y: np.ndarray, cb: np.ndarray, cr: np.ndarray, *, matrix: str, full_range: bool, bits: int = 8
) -> np.ndarray:
    """Turn Y, Cb, Cr planes of code values into (H, W, 3) uint8 RGB, rounding once.

    Chroma planes of half the size (rounded up) are interpolated with the triangle filter
    (3/4, 1/4), the inverse siting of ``rgb_to_planes``.
    """
    height, width = y.shape
    full = [y.astype(np.float64)]
    for plane in (cb, cr):
        plane = plane.astype(np.float64)
        if plane.shape != y.shape:
            plane = _double(_double(plane, 0), 1)[:height, :width]
        full.append(plane)
    scale, offset = _code_scale(bits, full_range)
    ycbcr = (np.stack(full, axis=-1) - offset) / scale
    rgb = ycbcr @ np.linalg.inv(ycbcr_matrix(matrix)).T
    return np.clip(np.rint(rgb * 255), 0, 255).astype(np.uint8)


def _halve(plane: np.ndarray) -> np.ndarray:
    height, width = plane.shape
    plane = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    return plane.reshape(plane.shape[0] // 2, 2, plane.shape[1] // 2, 2).mean(axis=(1, 3))


def _double(plane: np.ndarray, axis: int) -> np.ndarray:
    padded = np.pad(plane, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
    before, here, after = (np.take(padded, np.arange(k, k + plane.shape[axis]), axis=axis) for k in range(3))
    pair = np.stack([0.75 * here + 0.25 * before, 0.75 * here + 0.25 * after], axis=axis + 1)
    shape = list(plane.shape)
    shape[axis] *= 2
    return pair.reshape(shape)
