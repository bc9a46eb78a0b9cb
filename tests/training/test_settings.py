from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from nicodec.errors import InputError, QualityError
from nicodec.training.recipe import first_difference, folders_of, read_recipe, with_budget
from nicodec.training.settings import read_settings, setting


@dataclass(frozen=True)
class Inner:
    rate: float = setting(1.0, help="", least=0, most=2)


@dataclass(frozen=True)
class Outer:
    name: str
    count: int = setting(3, help="", least=1)
    loud: bool = False
    pair: tuple[int, int] = (1, 2)
    parts: tuple[Inner, ...] = ()
    limit: int | None = None


def test_tables_become_dataclasses() -> None:
    table = {"name": "a", "count": 4, "loud": True, "pair": [5, 6], "parts": [{"rate": 2}, {}], "limit": 7}
    found = read_settings(Outer, table, "x")
    assert found == Outer("a", 4, True, (5, 6), (Inner(2.0), Inner()), 7)
    assert isinstance(found.parts[0].rate, float)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "a", "colour": 1}, "x: 'colour' means nothing here"),
        ({}, "x: name is missing"),
        ({"name": 3}, "x: name is 3; give a text"),
        ({"name": "a", "count": 2.5}, "a whole number"),
        ({"name": "a", "count": True}, "a whole number"),
        ({"name": "a", "count": 0}, "give 1 or more"),
        ({"name": "a", "loud": 1}, "true or false"),
        ({"name": "a", "pair": [1]}, "has 1 values; give 2"),
        ({"name": "a", "pair": 1}, "give a list"),
        ({"name": "a", "pair": [1, "b"]}, "a whole number"),
        ({"name": "a", "parts": [{"rate": "fast"}]}, "rate is 'fast'; give a number"),
        ({"name": "a", "parts": [{"rate": 3}]}, "give 2 or less"),
        ({"name": "a", "parts": [{"rate": float("nan")}]}, "finite"),
        ({"name": "a", "parts": ["b"]}, "is no table"),
        ({"name": "a", "limit": "b"}, "a whole number"),
        (["name"], "is no table"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(table: object, message: str) -> None:
    with pytest.raises(InputError) as raised:
        read_settings(Outer, table, "x")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


HEAD = "name = 'a'\ncodec = 'hyperprior'\n"
NAMED = HEAD + "[objective]\nname = 'rate-distortion'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"name = ", "is no recipe, which is TOML"),
        ("name = 'käse'".encode("latin-1"), "in UTF-8"),
        (b"", "name is missing|codec is missing"),
        (("colour = 1\n" + NAMED).encode(), "'colour' means nothing"),
        (HEAD.encode(), "objective. name is None"),
        ((HEAD + "[objective]\nname = 1").encode(), "objective. name is 1"),
        ((HEAD + "objective = 1").encode(), "it is a table"),
        ((NAMED + "[run]\nepochs = 3").encode(), "'epochs' means nothing"),
        ((NAMED + "[run]\nminutes = 'two'").encode(), "give a number"),
        ((NAMED + "[run]\nminutes = 1\nsteps = 1").encode(), "contradict"),
    ],
)
def test_bad_recipes_say_why(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "recipe.toml").write_bytes(text)
    with pytest.raises(InputError, match=message):
        read_recipe(tmp_path / "recipe.toml")


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the recipe"):
        read_recipe(tmp_path / "recipe.toml")
    with pytest.raises(InputError, match="cannot read the recipe"):
        read_recipe(tmp_path)


@pytest.mark.parametrize(
    ("minutes", "steps"),
    [(0, None), (-1, None), (float("nan"), None), (float("inf"), None), ("2", None), (None, 0), (None, 1.5), (1, 1)],
)
def test_budgets_are_checked(recipe: Path, minutes: float | None, steps: int | None) -> None:
    with pytest.raises(QualityError, match="give"):
        with_budget(read_recipe(recipe), minutes, steps)


def test_budgets_are_replaced(recipe: Path) -> None:
    read = read_recipe(recipe.parent)  # a folder with a recipe
    assert (with_budget(read, None, None).run.minutes, with_budget(read, None, None).run.steps) == (0, 4)
    assert (with_budget(read, 2, None).run.minutes, with_budget(read, 2, None).run.steps) == (2, 0)
    recipe.write_text(recipe.read_text().replace("steps = 4", ""))
    with pytest.raises(InputError, match="no budget"):
        with_budget(read_recipe(recipe), None, None)


def test_identity_leaves_budget_and_place_out(recipe: Path) -> None:
    before = read_recipe(recipe).identity()
    text = recipe.read_text()
    recipe.write_text(text.replace("steps = 4", "steps = 9").replace("[data]", '[data]\nfolders = ["x"]'))
    assert read_recipe(recipe).identity() == before
    recipe.write_text(text.replace("latents = 24", "latents = 32"))
    assert first_difference(before, read_recipe(recipe).identity()) == "model.latents is 24 there and 32 here"


def test_folders_are_relative_to_the_recipe(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = read_recipe(recipe)
    monkeypatch.setenv("PLACE", "/elsewhere")
    assert folders_of(read, ("a", "${PLACE}/b")) == [recipe.parent / "a", Path("/elsewhere/b")]
    monkeypatch.delenv("PLACE")
    with pytest.raises(InputError, match="--data"):
        folders_of(read, ("${PLACE}/b",))
    with pytest.raises(InputError, match="--data"):
        folders_of(read, ())


@pytest.mark.parametrize("path", ["models/hyperprior/recipe.toml", "examples/photographs.toml"])
def test_our_own_recipes_read(path: str) -> None:
    from nicodec.codecs import family
    from nicodec.training.registry import objective
    from nicodec.training.run import _codec

    read = read_recipe(Path(__file__).parents[2] / path)
    kind = objective(read.objective)
    read_settings(kind.settings_type, read.settings, "x")
    read_settings(kind.data_type, read.data, "x")
    read_settings(family(read.codec).Config, read.model, "x")
    assert with_budget(read, None, None).run.minutes > 0
    assert sum(p.numel() for p in _codec(read).parameters()) > 1e5
