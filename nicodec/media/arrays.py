"""Numpy arrays and torch tensors as pictures; torch is never imported here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from nicodec.errors import InputError
from nicodec.media.limits import check_pixels, one_line
from nicodec.media.picture import Picture, to_eight_bits

if TYPE_CHECKING:
    import torch

_TOLERANCE = 1e-3
_RANGES = "uint8 0..255, uint16 0..65535 or float 0..1"
_ARRAY_FORMS = f"{_RANGES} of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
_TENSOR_FORMS = f"{_RANGES} of shape (3, H, W), (1, H, W) or (1, 3, H, W)"


def is_tensor(source: object) -> TypeGuard[torch.Tensor]:
    """Whether this is a torch tensor; where torch was not imported, nothing is."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def from_tensor(tensor: torch.Tensor, max_pixels: int | None) -> Picture:
    """Give the picture of a tensor; `nicodec.media.read_picture` says which are taken and what is raised."""
    shape = tuple(tensor.shape)
    planes = tensor[0] if len(shape) == 4 and shape[0] == 1 else tensor
    if planes.ndim == 3 and planes.shape[0] in (1, 3, 4):
        planes = planes.permute(1, 2, 0)
    elif planes.ndim != 2:
        raise InputError(f"tensor of shape {shape}: give {_TENSOR_FORMS}")
    try:
        planes = planes.detach()
        if planes.is_floating_point():
            planes = planes.float()  # numpy has no bfloat16
        array = planes.cpu().numpy()
    except Exception as error:
        raise InputError(f"tensor: cannot be read ({one_line(error)}); give {_TENSOR_FORMS}") from error
    return _from_array(array, "tensor", _TENSOR_FORMS, max_pixels)


def from_array(array: np.ndarray[Any, Any], max_pixels: int | None) -> Picture:
    """Give the picture of an array; `nicodec.media.read_picture` says which are taken and what is raised."""
    return _from_array(array, "array", _ARRAY_FORMS, max_pixels)


def _from_array(array: np.ndarray[Any, Any], name: str, forms: str, max_pixels: int | None) -> Picture:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise InputError(f"{name} of shape {array.shape}: give {forms}")
    check_pixels(name, array.shape[1], array.shape[0], max_pixels)
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
            raise InputError(
                f"{name} of floats from {low:g} to {high:g}: floats must lie in 0..1, without NaN; "
                "divide by the value of white, or give uint8 0..255"
            )
        planes = np.rint(np.clip(array.astype(np.float32), 0, 1) * np.float32(65535)).astype(np.uint16)
    elif array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        planes = array.astype(array.dtype.newbyteorder("="), copy=False)
    else:
        raise InputError(f"{name} of {array.dtype}: the range of white is not known; give {forms}")
    alpha = to_eight_bits(planes[:, :, 3]) if planes.shape[2] == 4 else None
    if alpha is not None and alpha.min() == 255:
        alpha = None
    return Picture(
        pixels=np.array(planes[:, :, :3], order="C"),
        alpha=None if alpha is None else np.array(alpha, order="C"),
    )
