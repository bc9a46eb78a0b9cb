"""From an objective's name to its class, by the entry points of the group `nicodec.objectives`."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from nicodec.errors import InputError
from nicodec.training.objective import Objective

GROUP = "nicodec.objectives"


def objective(name: str) -> type[Objective[Any, Any]]:
    """The objective of a name.

    Raises:
        InputError: no installed package has one of that name, or it cannot be loaded.

    """
    points = entry_points(group=GROUP)
    point = next((point for point in points if point.name == name), None)
    if point is None:
        known = ", ".join(sorted({point.name for point in points})) or "none"
        raise InputError(f"no objective {name!r}; installed: {known}; an entry point of {GROUP} adds one")
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        raise InputError(f"objective {name!r}: {point.value} cannot be loaded ({error}); install it again") from error
    if not (isinstance(found, type) and issubclass(found, Objective)):
        raise InputError(f"objective {name!r}: {point.value} is no nicodec.training.objective.Objective")
    return found
