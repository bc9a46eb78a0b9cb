"""FORMAT.md and the code say the same."""

import ast
import re
from pathlib import Path

import pytest

import nicodec.container
from nicodec import errors
from nicodec.container import Limits, Picture, read_picture, write_picture
from nicodec.container.format import CLIP_TAGS, PICTURE_TAGS, SECTIONS_MAX, SIGNATURE, Tag

from .build import HEADER

FOLDER = Path(nicodec.container.__file__).parent
PAGE = (FOLDER / "FORMAT.md").read_text(encoding="utf-8")


def read_example() -> bytes:
    block = re.search(r"```hex\n(.*?)```", PAGE, re.DOTALL).group(1)
    return b"".join(bytes.fromhex(re.split(r"\s{2,}", line)[0]) for line in block.splitlines())


def test_example() -> None:
    picture = Picture(HEADER, b"\xc0\xff\xee", 0x1234, grey=True, xmp=b"<x/>")
    assert read_picture(read_example()) == picture
    assert write_picture(picture) == read_example()


def test_tag_table() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (yes|no) \| (.*) \|$", PAGE, re.MULTILINE)
    assert {int(number): name for number, name, _, _ in rows} == {tag: tag.name.lower() for tag in Tag}
    assert {int(number) for number, *_ in rows if int(number) % 2 == 0} == {
        int(number) for number, _, critical, _ in rows if critical == "yes"
    }
    assert {int(row[0]) for row in rows if not row[3].startswith("reserved")} == PICTURE_TAGS | CLIP_TAGS


def test_numbers() -> None:
    assert SIGNATURE.hex(" ").upper() in PAGE
    assert f"more than {SECTIONS_MAX} sections" in PAGE
    for name in ("pixels", "metadata_bytes"):
        assert re.search(rf"^\| {name} \| {getattr(Limits(), name):,} \|", PAGE, re.MULTILINE)


def test_errors() -> None:
    named = re.findall(r"^\| (\w+Error) \|", PAGE, re.MULTILINE)
    raised = {error.__name__ for error in errors.StreamError.__subclasses__()}
    assert set(named) == raised | {"UnknownModelError", "LimitError"}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_imports_nothing_heavy(path: Path) -> None:
    standard = {"binascii", "collections", "dataclasses", "enum", "fractions", "functools", "io", "itertools", "sys"}
    allowed = standard | {"types", "typing", "zlib", "nicodec.errors"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "."]
        else:
            continue
        for name in names:
            assert name in allowed or name.split(".")[0] in allowed or name.startswith("nicodec.container.")
