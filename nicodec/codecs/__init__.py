"""One module a codec family: a network and its one traversal."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from nicodec.codecs.base import Codec


def family(name: str) -> type[Codec]:
    """The class of a family of codecs.

    Args:
        name: "hyperprior", "splat", or one of an entry point of the group `nicodec.codecs`.

    """
    if name == "hyperprior":
        from nicodec.codecs.hyperprior import Hyperprior

        return Hyperprior
    if name == "splat":
        from nicodec.codecs.splat import Splat

        return Splat
    for point in entry_points(group="nicodec.codecs", name=name):
        found: type[Codec] = point.load()
        return found
    raise ValueError(f"unknown codec family {name!r}; known: hyperprior, splat")


def build_codec(name: str, config: dict[str, Any]) -> Codec:
    """A codec with untrained weights.

    Args:
        name: of the family.
        config: fields of the family's configuration.

    """
    found = family(name)
    return found(found.configuration(**config))
