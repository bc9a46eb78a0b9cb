"""Options: what an encoder can be asked for, said once and checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nicodec.codecs import family, family_names
from nicodec.codecs.options import Option, Options, option
from nicodec.errors import QualityError

from ..conftest import shown


@dataclass(frozen=True)
class Wishes(Options):
    """One option of every kind."""

    count: int = option(7, "How many.", low=1, high=9, short="-n", metavar="1..9")
    share: float = option(0.5, "How much.", low=0.0, high=1.0)
    most_bytes: int | None = option(None, "At most.", low=1, default_text="as many as it takes")
    seconds: float | None = option(None, "At most.", low=0.1)
    careful: bool = option(False, "Whether.")
    style: str = option("plain", "Which.", choices=("plain", "fancy"))


BY_NAME = {each.name: each for each in Wishes.described()}
NOT_NUMBERS = [True, False, "7", b"7", "", [7], (7,), {}, object(), 7j, np.bool_(True), np.array([7, 8])]


def test_fields_are_described_in_their_order() -> None:
    assert list(BY_NAME) == ["count", "share", "most_bytes", "seconds", "careful", "style"]
    assert BY_NAME["count"] == Option("count", int, 7, "How many.", 1, 9, "-n", "1..9")
    assert BY_NAME["most_bytes"].kind is int
    assert BY_NAME["seconds"].kind is float
    assert BY_NAME["most_bytes"].flag == "--most-bytes"
    assert BY_NAME["most_bytes"].high == math.inf
    assert Options.described() == ()


@pytest.mark.parametrize(
    "value", [3, np.int64(3), np.uint8(3), np.int16(3), torch.tensor(3)], ids=lambda value: type(value).__name__
)
def test_whole_numbers_of_any_kind_become_ints(value: object) -> None:
    found = BY_NAME["count"].check(value)
    assert found == 3
    assert type(found) is int


@pytest.mark.parametrize(
    "value", [0.5, np.float32(0.5), np.float64(0.5), np.float16(0.5)], ids=lambda value: type(value).__name__
)
def test_numbers_of_any_kind_become_floats(value: object) -> None:
    found = BY_NAME["share"].check(value)
    assert found == 0.5
    assert type(found) is float


def test_a_whole_number_is_a_number() -> None:
    for value in (1, np.int64(1)):
        assert type(BY_NAME["share"].check(value)) is float


@pytest.mark.parametrize("name", ["count", "share", "most_bytes", "seconds"])
@pytest.mark.parametrize("value", NOT_NUMBERS, ids=shown)
def test_what_is_no_number_is_refused(name: str, value: object) -> None:
    with pytest.raises(QualityError, match=name):
        BY_NAME[name].check(value)


@pytest.mark.parametrize("value", [2.0, 2.5, np.float32(2), math.nan, math.inf])
def test_a_fraction_is_no_whole_number(value: object) -> None:
    with pytest.raises(QualityError, match=r"count .* is not a whole number"):
        BY_NAME["count"].check(value)


@given(st.integers())
def test_whole_numbers_are_in_range_or_refused(value: int) -> None:
    if 1 <= value <= 9:
        assert BY_NAME["count"].check(value) == value
    else:
        with pytest.raises(QualityError, match=r"count .*out of range.*from 1 to 9"):
            BY_NAME["count"].check(value)
    if value >= 1:
        assert BY_NAME["most_bytes"].check(value) == value
    else:
        with pytest.raises(QualityError, match="of 1 or more"):
            BY_NAME["most_bytes"].check(value)


@given(st.floats() | st.integers())
def test_numbers_are_in_range_or_refused(value: float) -> None:
    if 0 <= value <= 1:
        assert BY_NAME["share"].check(value) == value
    else:
        with pytest.raises(QualityError, match=r"share .*out of range.*from 0 to 1"):
            BY_NAME["share"].check(value)


@pytest.mark.parametrize("value", [0, 1, "true", None, np.bool_(True)], ids=repr)
def test_only_true_and_false_are_flags(value: object) -> None:
    assert BY_NAME["careful"].check(True) is True
    with pytest.raises(QualityError, match=r"careful .*True or False"):
        BY_NAME["careful"].check(value)


@pytest.mark.parametrize("value", ["Plain", "", 3, None, b"plain"], ids=repr)
def test_only_the_choices_are_texts(value: object) -> None:
    assert BY_NAME["style"].check("fancy") == "fancy"
    with pytest.raises(QualityError, match=r"style .*plain or fancy"):
        BY_NAME["style"].check(value)
    assert Option("note", str, "", "Any text.").check("anything") == "anything"


def test_none_is_for_what_the_encoder_chooses() -> None:
    for name in ("most_bytes", "seconds"):
        assert BY_NAME[name].check(None) is None
    for name in ("count", "share"):
        with pytest.raises(QualityError, match=name):
            BY_NAME[name].check(None)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "3", 3),
        ("share", "0.25", 0.25),
        ("share", "1", 1.0),
        ("most_bytes", "1000", 1000),
        ("careful", "true", True),
        ("careful", "false", False),
        ("style", "fancy", "fancy"),
    ],
)
def test_texts_are_parsed(name: str, text: str, value: object) -> None:
    found = BY_NAME[name].parse(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("count", "three"),
        ("count", "3.0"),
        ("count", ""),
        ("count", "10"),
        ("count", "none"),
        ("share", "a half"),
        ("share", "nan"),
        ("share", "inf"),
        ("share", "2"),
        ("careful", "yes"),
        ("careful", ""),
        ("style", "odd"),
    ],
)
def test_other_texts_are_refused(name: str, text: str) -> None:
    with pytest.raises(QualityError, match=name):
        BY_NAME[name].parse(text)


def test_keywords_make_options() -> None:
    assert Wishes.of("m", {}) == Wishes() == Wishes(count=7)
    made = Wishes.of("m", {"count": np.int64(2), "share": np.float32(0.25), "seconds": 2})
    assert made == Wishes(count=2, share=0.25, seconds=2.0)
    assert (type(made.count), type(made.share), type(made.seconds)) == (int, float, float)
    assert hash(made) == hash(Wishes(count=2, share=0.25, seconds=2.0))


def test_a_class_checks_what_it_is_made_of() -> None:
    with pytest.raises(QualityError, match="count 10 is out of range: give a whole number from 1 to 9"):
        Wishes(count=10)


def test_unknown_names_are_told_with_the_known_ones() -> None:
    with pytest.raises(QualityError, match="tiny has no option 'cuont'; its options are count, share"):
        Wishes.of("tiny", {"cuont": 3})
    with pytest.raises(QualityError, match="tiny has no option 'count'; it has no options"):
        Options.of("tiny", {"count": 3})


def test_fields_that_are_no_options_are_a_mistake_of_the_family() -> None:
    @dataclass(frozen=True)
    class Odd(Options):
        sizes: tuple[int, ...] = option((), "Sizes.")

    @dataclass(frozen=True)
    class Bare(Options):
        count: int = 3

    for kind in (Odd, Bare):
        with pytest.raises(TypeError, match="an option is"):
            kind.described()


@pytest.mark.parametrize("name", family_names())
def test_families_describe_options_that_they_accept(name: str) -> None:
    kind = family(name).Options
    defaults = kind()
    for each in kind.described():
        assert each.help.endswith(".")
        assert each.check(each.default) == getattr(defaults, each.name)
        if each.default is not None and each.kind in (int, float):
            assert each.parse(str(each.default)) == each.default
