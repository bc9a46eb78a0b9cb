"""What pyproject.toml promises of versions is what CI tests, and nothing hangs on what others may change."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").is_file(), reason="the tests stand apart from the checkout"
)


def test_the_oldest_releases_are_the_lower_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    bounds = {}
    for line in project["dependencies"]:
        name, version = re.fullmatch(r"([\w-]+)>=([\d.]+)(?:,<[\d.]+)?", line).groups()
        bounds[name] = version
    oldest = dict(re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / ".ci" / "oldest.txt").read_text("utf-8"), re.MULTILINE))
    assert oldest.keys() == bounds.keys()
    for name, version in bounds.items():
        assert re.fullmatch(re.escape(version) + r"(\.0)*", oldest[name]), name


def test_every_package_is_installed() -> None:
    """A folder of modules that pyproject.toml leaves out would be missing in the wheel only."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    found = set()
    for package, folder in settings["package-dir"].items():
        for file in (ROOT / folder).rglob("*.py"):
            found.add(".".join([package, *file.parent.relative_to(ROOT / folder).parts]))
    assert found == set(settings["packages"])


PRIVATE = re.compile(
    r"\b(?:torch|np|numpy|Image|ImageFile|av|typer|joblib|safetensors|constriction)(?:\.[a-z]\w*)*\._[a-z]\w*"
    r"|\bfrom (?:torch|numpy|PIL|av|typer|joblib|safetensors|constriction)[\w.]* import .*\b_[a-z]"
    r"|\bfrom (?:torch|numpy|PIL|av|typer|joblib)[\w.]*\._"
)


@pytest.mark.parametrize("folder", ["nicodec", "cli", "kodak_eval"])
def test_no_private_names_of_others(folder: str) -> None:
    for file in sorted((ROOT / folder).rglob("*.py")):
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
            assert not PRIVATE.search(line), f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
