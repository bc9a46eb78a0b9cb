"""What `nicodec eval --video` prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from kodak_eval.clips.results import ClipResults


def report_clips(screen: Console, results: ClipResults, paths: list[Path], anchor: str) -> None:
    """Print the table of BD-rates, what failed, and where the files are."""
    from kodak_eval.tables import bd_text, plain_table

    labels = {codec.name: codec.label for codec in results.codecs}
    table = plain_table(f"BD-rate against {labels.get(anchor, anchor)}, PSNR YUV 6:1:1", "codec")
    columns = [*(clip.name for clip in results.clips), "mean"]
    for name in [*columns, "encode fps", "decode fps"]:
        table.add_column(name[:14], justify="right")
    for codec in results.codecs:
        row = results.bd_rates.get(anchor, {}).get(codec.name, {})
        speeds = [f"{value:.3g}" for value in results.speed(codec)]
        table.add_row(codec.label, *(bd_text(row.get(column)) for column in columns), *speeds)
    screen.print(table)
    for codec in results.codecs:
        screen.print(f"{codec.label}: {codec.command(codec.settings[0])}", highlight=False, markup=False)
    for name, reason in results.missing.items():
        screen.print(f"Not run: {name}: {reason}", highlight=False, markup=False)
    for failure in results.failures():
        who = " ".join(filter(None, (failure["clip"], failure["codec"], failure["what"])))
        screen.print(f"Failed: {who}: {failure['reason']}", highlight=False, markup=False)
    new = sum(not m.cached for m in results.measurements)
    screen.print(
        f"{len(results.measurements)} measurements ({new} new) in {results.seconds:.0f} s; wrote {paths[0].parent}: "
        f"{', '.join(path.name for path in paths if path.suffix != '.svg')}",
        highlight=False,
        markup=False,
    )
