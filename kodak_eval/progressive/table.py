"""What the command line tells of files that are cut short."""

from __future__ import annotations

from rich.table import Table

from kodak_eval.progressive.means import TABLE_SHARES, CutGroup, text_of
from kodak_eval.tables import plain_table


def cut_table(group: CutGroup) -> Table:
    """Return mean PSNR by codec and share of the bytes."""
    title = f"PSNR of the first bytes of a file, mean of {group.pictures} pictures (–: nothing to see of some)"
    table = plain_table(title, "codec")
    for share in TABLE_SHARES:
        table.add_column(f"{100 * share:g} %", justify="right")
    for label, values in group.rows():
        table.add_row(label, *map(text_of, values))
    return table
