"""From a model's name to its codec of clips."""

from __future__ import annotations

import torch

from nicodec.codecs.clip import ClipCodec
from nicodec.errors import InputError
from nicodec.threads import guard_forks
from nicodec.zoo import ModelEntry, load_codec


def clip_codec(entry: ModelEntry, device: torch.device) -> ClipCodec:
    """The codec of a model.

    Raises:
        InputError: it codes pictures.

    """
    guard_forks()
    codec = load_codec(entry, device)
    if not isinstance(codec, ClipCodec):
        raise InputError(f"{entry.name} codes pictures, not clips; use nicodec.compress, or name another codec")
    return codec
