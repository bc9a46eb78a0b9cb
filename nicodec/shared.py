"""Models that the functions of `nicodec` keep between calls; users of `nicodec.load` get their own."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from nicodec.loading import usable_device
from nicodec.model import Model
from nicodec.zoo import ModelEntry, find_model

if TYPE_CHECKING:
    import torch

_models: dict[tuple[ModelEntry, torch.device], Model] = {}
_lock = threading.Lock()


def shared_model(key: str | bytes | os.PathLike[str], device: str | torch.device) -> Model:
    """The model of that name, folder or fingerprint on a torch device, loaded at the first call.

    Raises:
        UnknownModelError: it is not installed.
        DeviceError: there is no such device.

    """
    place = find_model(key), usable_device(device)
    with _lock:
        if place not in _models:
            _models[place] = Model(*place)
        return _models[place]
