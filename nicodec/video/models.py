"""From a model's name to its codec of clips."""

from __future__ import annotations

from functools import lru_cache

import torch

from nicodec.codecs.base import Codec
from nicodec.codecs.clip import ClipCodec
from nicodec.errors import InputError
from nicodec.threads import guard_forks
from nicodec.zoo import ModelEntry, load_codec


def clip_codec(entry: ModelEntry, device: torch.device) -> ClipCodec:
    """The codec of a model, shared by all that ask for it: it keeps nothing between calls.

    Raises:
        InputError: it codes pictures.

    """
    guard_forks()
    codec = _loaded(entry, device)
    if not isinstance(codec, ClipCodec):
        raise InputError(f"{entry.name} codes pictures, not clips; use nicodec.compress, or name another codec")
    return codec


@lru_cache(maxsize=1)
def _loaded(entry: ModelEntry, device: torch.device) -> Codec:
    """The codec that was asked for last."""
    return load_codec(entry, device)
