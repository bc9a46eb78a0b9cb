"""Builds the API reference from the docstrings, and fails at the first warning: `python docs/build.py FOLDER`.

Needs pdoc, which the extra `dev` brings.
"""

from __future__ import annotations

import contextlib
import pkgutil
import sys
import tempfile
import warnings
from pathlib import Path

import pdoc
import pdoc.extract

import nicodec

LEFT_OUT = "!nicodec.splat.kernel"
"""For pdoc: without it. It can be imported only where Triton is."""


def build(folder: Path) -> None:
    """Write the pages into a folder."""
    for name in nicodec.__all__:  # some are loaded when they are first asked for; pdoc does not ask
        setattr(nicodec, name, getattr(nicodec, name))
    pdoc.render.configure(docformat="google")
    with tempfile.TemporaryDirectory() as empty, contextlib.chdir(empty):  # or pdoc finds the package twice
        pdoc.pdoc(*_modules(), LEFT_OUT, output_directory=folder)


def _modules() -> list[str]:
    """All modules that pdoc does not find through the packages before them."""
    found = ["nicodec", *sorted(each.name for each in pkgutil.walk_packages(nicodec.__path__, "nicodec."))]
    named: list[str] = []
    reached = {LEFT_OUT[1:]}
    for name in found:
        if name not in reached:
            named.append(name)
            reached.update(pdoc.extract.walk_specs([name, LEFT_OUT]))
    return named


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/build.py FOLDER")
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", r".*(ImagingCore| for PIL\.)")  # inherited; for type checkers alone
    build(Path(sys.argv[1]).absolute())
