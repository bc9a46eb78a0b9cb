"""One module a codec family: a network and its one traversal."""

from __future__ import annotations

from typing import Any

from nicodec.codecs.base import Codec


def build_codec(family: str, config: dict[str, Any]) -> Codec:
    """A codec with untrained weights.

    Args:
        family: "hyperprior" or "splat".
        config: fields of the family's configuration.

    """
    if family == "hyperprior":
        from nicodec.codecs.hyperprior import Hyperprior, HyperpriorConfig

        return Hyperprior(HyperpriorConfig(**config))
    if family == "splat":
        from nicodec.codecs.splat import Splat, SplatConfig

        return Splat(SplatConfig(**config))
    raise ValueError(f"unknown codec family {family!r}; known: hyperprior, splat")
