"""Codec families by name, from the entry points of the group `nicodec.codecs`.

A package outside adds a family by naming its class there; nothing here knows any name.
"""

from __future__ import annotations

from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from nicodec.errors import UnknownModelError

if TYPE_CHECKING:
    from nicodec.codecs.base import Codec

GROUP = "nicodec.codecs"


@cache
def _entry_points() -> dict[str, metadata.EntryPoint]:
    return {entry.name: entry for entry in metadata.entry_points(group=GROUP)}


def family_names() -> list[str]:
    """Names of all families, without importing them."""
    return sorted(_entry_points())


@cache
def family(name: str) -> type[Codec]:
    """The class of a family.

    Raises:
        UnknownModelError: there is no such family, or it cannot be imported.

    """
    entry = _entry_points().get(name)
    if entry is None:
        known = ", ".join(family_names()) or "none: install nicodec again"
        raise UnknownModelError(f"no codec family {name!r}; installed: {known}")
    try:
        found: type[Codec] = entry.load()
    except (ImportError, AttributeError) as error:
        raise UnknownModelError(f"codec family {name!r} cannot be imported ({error}); install it again") from error
    return found


def build_codec(name: str, config: dict[str, Any]) -> Codec:
    """A codec with untrained weights.

    Args:
        name: of the family.
        config: fields of the family's configuration; lists count as tuples.

    Raises:
        UnknownModelError: there is no such family, or its configuration has no such field.

    """
    kind = family(name)
    try:
        made = kind.Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()})
    except TypeError as error:
        raise UnknownModelError(f"the configuration does not fit the family {name!r} ({error})") from error
    return kind(made)
