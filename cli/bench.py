"""`nicodec bench`: parts of codecs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kodak_eval.quantizers import report
from kodak_eval.quantizers.bench import Request
from kodak_eval.quantizers.bench import bench as run_bench
from kodak_eval.quantizers.entries import BITS
from nicodec_cli import console

WHAT = "quantizers"


def bench(
    what: Annotated[str, typer.Argument(metavar="WHAT", help=f"What to compare: {WHAT}.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            metavar="FOLDER",
            help="Photographs whose features are quantised; may be repeated. Default: a few of scikit-image.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the results; a run in it goes on.")
    ] = Path("runs/bench-quantizers"),
    quantizer: Annotated[
        list[str] | None,
        typer.Option("--quantizer", metavar="NAME", help="One of them; may be repeated."),
    ] = None,
    bits: Annotated[
        list[int] | None,
        typer.Option("--bits", metavar="B", help="Bits a position: 8, 10, 12, 16; may be repeated. Default: all."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="Training of each, in seconds of the processor.")
    ] = 6,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Runs of each, from different seeds.")] = 2,
) -> None:
    """Train all quantisers on the same features for equal time at equal bits, and compare them.

    Writes table.md and plot.png into DIR.
    """
    if what != WHAT:
        raise console.UsageError(f"{what!r} cannot be benched; there is {WHAT}")
    request = Request(output, tuple(data or ()), tuple(quantizer or ()), tuple(bits or BITS), seeds, seconds)
    results = run_bench(request, console.say)
    (output / "table.md").write_text(report.markdown(results), encoding="utf-8")
    report.plot(results, output / "plot.png")
    for nominal in sorted(set(request.bits)):
        rows = report.rows_of(results, nominal)
        if rows:
            for line in console.table(list(report.COLUMNS), rows):
                typer.echo(line)
            typer.echo("")
    typer.echo(report.EXPLAINED)
    console.say(f"wrote {output}: table.md, plot.png")
