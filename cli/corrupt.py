"""`nicodec corrupt`: a .nic file that has lost packets, to try `decompress --repair` on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nicodec_cli import console, options
from nicodec_cli.console import UsageError


def corrupt(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .nic file of a picture in packets.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help="File.", show_default="beside FILE, as NAME.damaged.nic"),
    ] = None,
    loss: Annotated[
        str, typer.Option("--loss", metavar="SHARE", help="Of the packets that are lost, such as 20% or 0.2.")
    ] = "20%",
    burst: Annotated[int, typer.Option("--burst", min=1, metavar="N", help="Packets that are lost in a row.")] = 1,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another one loses others.")] = 0,
    force: options.Force = False,
) -> None:
    """Write a .nic file without some of its packets, as a lossy line delivers it.

    Decode it with `nicodec decompress --repair`. Packets come of `nicodec compress --codec vqgan --packets N`.
    """
    from nicodec.damage import without_packets
    from nicodec.media import write_atomically
    from nicodec.reading import read_bytes

    share = _share(loss)
    data, lost = without_packets(read_bytes(file), share, burst=burst, seed=seed)
    target = output or file.with_name(f"{file.stem}.damaged.nic")
    write_atomically(target, data, overwrite=force)
    console.say(f"{target}: without packets {', '.join(map(str, lost))}, {console.bytes_text(len(data))}")


def _share(text: str) -> float:
    """A share as people write it."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise UsageError(f"--loss {text}: give a share such as 20% or 0.2, above 0 and at most 1")
    return value
