"""Tables of a recipe, read into frozen dataclasses: unknown keys, wrong types and ranges are one-line errors."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from nicodec.errors import InputError

T = TypeVar("T")

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def setting(default: Any, *, help: str, least: float | None = None, most: float | None = None) -> Any:
    """A field of a settings class: its default, what it means, and the range of its value (or of its values)."""
    return dataclasses.field(default=default, metadata={"help": help, "least": least, "most": most})


def read_settings(kind: type[T], table: object, where: str) -> T:
    """Build a settings dataclass from a table of a TOML file.

    Fields are of type bool, int, float, str, a tuple of one of them (of any length or of a given one), or of further
    such dataclasses; or any of them or None. A whole number is taken where a real one is asked for.

    Args:
        kind: the dataclass; what its `__post_init__` raises as ValueError is told too.
        table: what was read.
        where: names the table in messages, such as "recipe.toml: [data]".

    Raises:
        InputError: a key means nothing, is missing, or has a value of another type or out of its range.

    """
    if not isinstance(table, dict):
        raise InputError(f"{where}: {table!r} is no table; write it as [name] and keys below it")
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            raise InputError(f"{where}: {key!r} means nothing here; there are {', '.join(sorted(fields))}")
    hints = get_type_hints(kind)
    values = {}
    for name, value in table.items():
        values[name] = _value(hints[name], value, f"{where}: {name}")
        _check_range(values[name], fields[name].metadata, f"{where}: {name}")
    for name, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and name not in values:
            raise InputError(f"{where}: {name} is missing; add it")
    try:
        return kind(**values)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def _value(hint: Any, value: object, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return read_settings(hint, value, where)  # type: ignore[arg-type]
    if isinstance(hint, types.UnionType):
        return _value(next(part for part in get_args(hint) if part is not type(None)), value, where)
    if get_origin(hint) is tuple:
        parts = get_args(hint)
        if not isinstance(value, list | tuple):
            raise InputError(f"{where} is {value!r}; give a list")
        if parts[-1] is Ellipsis:
            parts = (parts[0],) * len(value)
        if len(parts) != len(value):
            raise InputError(f"{where} has {len(value)} values; give {len(parts)}")
        return tuple(_value(part, each, where) for part, each in zip(parts, value, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if hint in _WORDS and type(value) is not hint:
        raise InputError(f"{where} is {value!r}; give {_WORDS[hint]}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where} is {value}; give a finite number")
    return value


def _check_range(value: Any, metadata: Mapping[str, Any], where: str) -> None:
    least, most = metadata.get("least"), metadata.get("most")
    for each in value if isinstance(value, tuple) else (value,):
        if not isinstance(each, int | float):
            continue
        if least is not None and each < least:
            raise InputError(f"{where} is {each!r}; give {least:g} or more")
        if most is not None and each > most:
            raise InputError(f"{where} is {each!r}; give {most:g} or less")
