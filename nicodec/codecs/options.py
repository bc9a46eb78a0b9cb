"""What an encoder can be asked for beside the quality, said once: as the fields of a frozen dataclass.

The command line's flags, the keyword arguments of `nicodec.compress` and of Pillow's `save`, and the settings of
`nicodec eval` are made from the fields' metadata.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Self

from nicodec import checks
from nicodec.errors import QualityError

KINDS = (bool, int, float, str)
"""Types that an option may have."""


@dataclass(frozen=True)
class Option:
    """One option, as a user sees it.

    Attributes:
        name: of the field and of the keyword argument; the flag is --name with dashes.
        kind: bool, int, float or str.
        default: None where the encoder chooses.
        help: one sentence for people who never saw the code.
        low, high: least and largest value of a number; infinite: no bound.
        short: a flag of one letter, with its dash, or "".
        metavar: what stands for the value in help texts, or "".
        default_text: what is said of the default, where that is None.
        choices: the strings that are allowed; empty: all.

    """

    name: str
    kind: type
    default: Any
    help: str
    low: float = -math.inf
    high: float = math.inf
    short: str = ""
    metavar: str = ""
    default_text: str = ""
    choices: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """The flag of the command line."""
        return "--" + self.name.replace("_", "-")

    def check(self, value: object) -> Any:
        """The value in the option's own type; None where the encoder is to choose.

        Raises:
            QualityError: it has another type, or is out of range.

        """
        if value is None and self.default is None:
            return None
        if self.kind is bool:
            if not isinstance(value, bool):
                raise QualityError(f"{self.name} {value!r}: give True or False")
            return value
        if self.kind is str:
            if not isinstance(value, str) or (self.choices and value not in self.choices):
                raise QualityError(f"{self.name} {value!r}: give {' or '.join(self.choices) or 'a text'}")
            return value
        if self.kind is int:
            high = None if math.isinf(self.high) else int(self.high)
            return checks.whole_number(self.name, value, int(self.low), high)
        return checks.number(self.name, value, self.low, self.high)

    def parse(self, text: str) -> Any:
        """The value that a text stands for.

        Raises:
            QualityError: it stands for none.

        """
        try:
            value: Any = {"true": True, "false": False}[text] if self.kind is bool else self.kind(text)
        except (ValueError, KeyError):
            raise QualityError(f"{self.name} {text!r} is not {_kind_words(self.kind)}") from None
        return self.check(value)


def option(
    default: Any,
    help: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    short: str = "",
    metavar: str = "",
    default_text: str = "",
    choices: tuple[str, ...] = (),
) -> Any:
    """A field of an `Options` class; see `Option` for the arguments."""
    facts = {
        "help": help,
        "low": low,
        "high": high,
        "short": short,
        "metavar": metavar,
        "default_text": default_text,
        "choices": choices,
    }
    return dataclasses.field(default=default, metadata=facts)


@dataclass(frozen=True)
class Options:
    """What an encoder can be asked for; a family without options uses this class itself."""

    def __post_init__(self) -> None:
        for each in self.described():
            object.__setattr__(self, each.name, each.check(self.__dict__[each.name]))

    @classmethod
    def described(cls) -> tuple[Option, ...]:
        """The options in the order of the fields."""
        hints = typing.get_type_hints(cls)
        found = []
        for field in dataclasses.fields(cls):
            hint = hints[field.name]
            parts = typing.get_args(hint) if isinstance(hint, UnionType) else (hint,)
            kinds = [part for part in parts if part is not NoneType]
            if len(kinds) != 1 or kinds[0] not in KINDS or "help" not in field.metadata:
                raise TypeError(f"{cls.__name__}.{field.name}: an option is bool, int, float or str, of option()")
            found.append(Option(field.name, kinds[0], field.default, **field.metadata))
        return tuple(found)

    @classmethod
    def of(cls, model: str, given: Mapping[str, object]) -> Self:
        """Take keyword arguments.

        Args:
            model: the model's name, for messages.
            given: values by name; those left out have their defaults.

        Raises:
            QualityError: there is no such option, or a value has another type or is out of range.

        """
        known = [each.name for each in cls.described()]
        for name in given:
            if name not in known:
                has = f"its options are {', '.join(known)}" if known else "it has no options"
                raise QualityError(f"{model} has no option {name!r}; {has}")
        return cls(**given)


def _kind_words(kind: type) -> str:
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[kind]
