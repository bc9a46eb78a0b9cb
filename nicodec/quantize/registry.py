"""Quantisers by name, as a recipe says them: a table with a name and the settings of that kind.

For example `quantizer = { name = "residual", stages = 4, stage = { name = "vq", codes = 1024, decay = 0.99 } }`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from nicodec.errors import InputError
from nicodec.quantize.affine import AffineSettings
from nicodec.quantize.base import Settings
from nicodec.quantize.bsq import SphereSettings
from nicodec.quantize.fsq import FiniteSettings
from nicodec.quantize.gaussian import GaussianSettings
from nicodec.quantize.gumbel import GumbelSettings
from nicodec.quantize.ibq import IndexSettings
from nicodec.quantize.lattice import LatticeSettings
from nicodec.quantize.leech import LeechSettings
from nicodec.quantize.lfq import SignSettings
from nicodec.quantize.optvq import TransportSettings
from nicodec.quantize.orthogonal import OrthogonalSettings
from nicodec.quantize.product import ProductSettings
from nicodec.quantize.projected import ProjectedSettings
from nicodec.quantize.residual import ResidualSettings
from nicodec.quantize.simvq import SimSettings
from nicodec.quantize.vector import VectorSettings
from nicodec.quantize.wae import WassersteinSettings

QUANTISERS: dict[str, type[Settings]] = {
    "affine": AffineSettings,
    "bsq": SphereSettings,
    "fsq": FiniteSettings,
    "gaussian": GaussianSettings,
    "gumbel": GumbelSettings,
    "ibq": IndexSettings,
    "lattice": LatticeSettings,
    "leech": LeechSettings,
    "lfq": SignSettings,
    "optvq": TransportSettings,
    "orthogonal": OrthogonalSettings,
    "product": ProductSettings,
    "projected": ProjectedSettings,
    "residual": ResidualSettings,
    "simvq": SimSettings,
    "vq": VectorSettings,
    "wae": WassersteinSettings,
}
"""By name, the settings that build it."""


def settings_of(table: Mapping[str, object]) -> Settings:
    """Read a quantiser's settings.

    Args:
        table: `name`, and fields of that kind's settings; lists count as tuples, tables as further quantisers.

    Raises:
        InputError: there is no such quantiser, it has no such field, or a value has another type or range.

    """
    given = dict(table)
    name = given.pop("name", None)
    if not isinstance(name, str) or name not in QUANTISERS:
        raise InputError(f"no quantiser {name!r}; there are {', '.join(sorted(QUANTISERS))}: give one as `name`")
    kind = QUANTISERS[name]
    fields = {field.name: field for field in dataclasses.fields(kind)}
    values: dict[str, object] = {}
    for key, value in given.items():
        if key not in fields:
            raise InputError(f"quantiser {name!r} has no {key!r}; it has {', '.join(fields) or 'no settings'}")
        values[key] = _value(value, f"quantiser {name!r}: {key}", _default(fields[key]))
    return kind(**values)


def _default(field: dataclasses.Field[object]) -> object:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _value(value: object, where: str, default: object) -> object:
    """The value in the type of the default, which every setting has."""
    if isinstance(default, Settings):
        if not isinstance(value, Mapping):
            raise InputError(f"{where} is {value!r}; give a table with the name of a quantiser")
        return settings_of(value)
    if isinstance(default, tuple):
        if not isinstance(value, list | tuple) or not value:
            raise InputError(f"{where} is {value!r}; give a list")
        return tuple(_value(each, where, default[0]) for each in value)
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        raise InputError(f"{where} is {value!r}; give a value such as {default!r}")
    return value
