"""The rooms of the project: no import circle, and imports that point down only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"nicodec": ROOT / "nicodec", "nicodec_cli": ROOT / "cli", "kodak_eval": ROOT / "kodak_eval"}

ROOMS = (
    "errors",
    "container",
    "media",
    "exact",
    "quantize",
    "entropy",
    "perceptual",
    "layers",
    "motion",
    "splat",
    "codecs",
    "zoo",
    "training",
)
"""Of nicodec, from below: none imports a later one. Modules beside the rooms and the API stand above them."""


def modules() -> dict[str, Path]:
    found = {}
    for package, folder in PACKAGES.items():
        for path in folder.rglob("*.py"):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Modules that a file imports, in functions too, but not for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            inner = [name for name in names if name in known]
            yield from inner
            if node.module in known and len(inner) < len(names):
                yield node.module


def graph() -> dict[str, set[str]]:
    known = modules()
    return {name: {other for other in imported(path, known) if other != name} for name, path in known.items()}


def test_there_is_no_import_circle() -> None:
    edges = graph()
    # `from nicodec import container` runs nicodec/__init__.py, which imports nothing of the project but two leaves.
    for name, others in edges.items():
        if name != "nicodec":
            others.discard("nicodec")
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        raise AssertionError(f"import circle: {' -> '.join(error.args[1])}") from None


def test_rooms_import_downwards_only() -> None:
    place = {room: number for number, room in enumerate(ROOMS)}
    for name, others in graph().items():
        room = name.split(".")[1] if name.startswith("nicodec.") else ""
        if room not in place:
            continue
        for other in others:
            below = other.split(".")[1] if other.startswith("nicodec.") else ""
            assert not other.startswith(("nicodec_cli", "kodak_eval")), f"{name} imports {other}"
            assert place.get(below, 0) <= place[room], f"{name} imports {other}, which stands above it"


def test_media_knows_no_codec_and_codecs_know_no_file() -> None:
    for name, others in graph().items():
        rooms = {other.split(".")[1] for other in others if other.startswith("nicodec.")}
        if name.startswith("nicodec.media"):
            assert not rooms & {"codecs", "entropy", "exact", "layers"}, name
        if name.startswith(("nicodec.codecs", "nicodec.entropy", "nicodec.layers", "nicodec.exact")):
            assert not rooms & {"container", "media"}, name


def test_nothing_looks_for_capabilities() -> None:
    """Capabilities are typed methods and attributes; names of families stand in data, not in comparisons."""
    for folder in PACKAGES.values():
        for path in folder.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "type: ignore[override]" not in text, path
            assert not re.search(r"""[=!]= ?["'](hyperprior|splat)["']""", text), path
            if path.is_relative_to(ROOT / "nicodec" / "codecs"):
                assert not re.search(r"\b(hasattr|getattr)\(", text), path
