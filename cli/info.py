"""`nicodec info`: what a .nic file says of itself."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from nicodec import Info, VideoInfo
from nicodec_cli import console, options


def info(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Files, or - for standard input.")],
    as_json: options.Json = False,
) -> None:
    """Tell what .nic files hold, without decoding them.

    The whole file is checked against its checksum.
    """
    from pathlib import Path

    import nicodec
    from nicodec_cli.clip_words import existing
    from nicodec_cli.tasks import STREAM, Task, read_input

    codes = set()
    for number, name in enumerate(files):
        task = Task(None if name == STREAM else Path(name), None)
        try:
            found = nicodec.info(read_input(task) if task.source is None else existing(task.source))
        except nicodec.errors.NicodecError as error:
            console.error(console.message_of(error, task.source_name))
            codes.add(error.exit_code)
            continue
        codes.add(0)
        if as_json:
            typer.echo(json.dumps({"file": name, **dataclasses.asdict(found)}))
        else:
            typer.echo(("\n" if number else "") + "\n".join(_lines(task.source_name, found)))
    raise typer.Exit(codes.pop() if len(codes) == 1 else 1)


def _lines(name: str, found: Info | VideoInfo) -> list[str]:
    return _clip_lines(name, found) if isinstance(found, VideoInfo) else _picture_lines(name, found)


def _clip_lines(name: str, found: VideoInfo) -> list[str]:
    from nicodec_cli.clip_words import clip_lines

    return [name, *clip_lines(found)]


def _picture_lines(name: str, found: Info) -> list[str]:
    colours = ("grey" if found.grey else "RGB") + (" with alpha" if found.alpha else "")
    parts = ", ".join(f"{part} {count}" for part, count in found.sections.items())
    model = found.model or "not installed"
    tiles = [f"  tiles    {found.tiles}, coded each for itself"] if found.tiles > 1 else []
    ends = ", ".join(map(str, found.levels))
    levels = [f"  levels   {len(found.levels)}, whole at byte {ends}"] if found.levels else []
    return [
        name,
        f"  picture  {found.width}x{found.height}, {colours}",
        f"  quality  {found.quality:g}",
        f"  model    {model} ({found.fingerprint})",
        f"  size     {found.file_bytes} bytes, {found.bpp:.3f} bpp",
        *tiles,
        *levels,
        f"  parts    {parts} bytes",
    ]
