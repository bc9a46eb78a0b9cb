"""How networks run: on which device, and in which arithmetic."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from nicodec.errors import DeviceError
from nicodec.processor import prefers_bfloat16


@contextlib.contextmanager
def fast_float(device: torch.device) -> Iterator[None]:
    """Run float layers in bfloat16 where that is faster; symbols do not depend on it."""
    fast = prefers_bfloat16(device.type)
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast):
        yield


def usable_device(device: object) -> torch.device:
    """The torch device that a user names.

    Raises:
        DeviceError: there is no such device, or it cannot be used here.

    """
    try:
        found: torch.device = torch.device(device)  # type: ignore[call-overload]
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).splitlines()[0].partition(": ")[0]
        raise DeviceError(f"device {device!r} cannot be used here ({reason}); try 'cpu'") from error
    return found
