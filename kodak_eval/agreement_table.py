"""The table of agreement on the terminal, of a run or of its file.

python -m kodak_eval.agreement_table runs/eval-kodak/results.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from kodak_eval.agreement import TOLERANCE, Agreement, agreements
from kodak_eval.curves import Curve, published_curves
from kodak_eval.tables import plain_table


def points(value: float | None, unit: str = "") -> str:
    """Return a signed number for a table cell, a dash for none."""
    return "–" if value is None else f"{value:+.1f}{unit}"


def agreement_table(rows: Sequence[Agreement]) -> Table:
    """Return the rows as a table for the terminal."""
    table = plain_table("BD-rate of pairs, live beside published, over the qualities that all reach", "pair")
    for heading in ("published", "best settings", "gap", "as published", "gap"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(f"cause of a gap above {TOLERANCE:g} points")
    for row in rows:
        table.add_row(
            f"{row.codec} against {row.anchor}",
            points(row.published, " %"),
            points(row.best, " %"),
            points(row.best_gap),
            points(row.alike, " %"),
            points(row.alike_gap),
            row.cause,
        )
    return table


def from_results(document: dict[str, Any]) -> list[Agreement]:
    """Return the rows of a ``results.json`` that was read."""
    curves = [*document["curves"]["psnr"]["measured"], *document.get("agreement", {}).get("curves", [])]
    measured = [
        Curve(curve["name"], curve["label"], tuple(curve["rates"]), tuple(curve["qualities"])) for curve in curves
    ]
    return agreements(measured, published_curves("psnr"))


def main(file: str) -> None:
    """Print the table of a ``results.json``."""
    rows = from_results(json.loads(Path(file).read_text(encoding="utf-8")))
    Console().print(agreement_table(rows))


if __name__ == "__main__":
    main(sys.argv[1])
