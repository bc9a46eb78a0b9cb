"""What a run found, as tables for the terminal; the report has the codecs' long names."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from kodak_eval.bdrate import SMALL_OVERLAP, BdRate
from kodak_eval.metrics import METRICS
from kodak_eval.plots import chosen_published
from kodak_eval.results import Results

DEFAULT_ANCHORS = ("x265-444", "webp", "jpeg")
"""The anchor of BD-rates where none is asked for: the first of these that was measured."""


def plain_table(title: str, first: str) -> Table:
    """Return an empty table whose first column never wraps."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column(first, no_wrap=True)
    return table


def fitted(title: str, first: str, headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[Table]:
    """Return a table, or several with some of the columns each where one would be wider than ``width``.

    The first column names the rows. Headings are folded, values never.
    """
    names = max([len(first), *(len(row[0]) for row in rows)])
    values = [max([5, *(len(row[k]) for row in rows)]) for k in range(1, len(headings) + 1)]
    tables: list[Table] = []
    start = 0
    while start < len(headings):
        # A column takes its width and three spaces; those whose headings fit in whole are wider.
        stop, left = start, width - 2 - (names + 3)
        while stop < len(headings) and (stop == start or left >= values[stop] + 3):
            left -= values[stop] + 3
            stop += 1
        table = plain_table(title if not tables else "", first)
        for heading, least in zip(headings[start:stop], values[start:stop], strict=True):
            table.add_column(heading, justify="right", min_width=least, overflow="fold")
        for row in rows:
            table.add_row(row[0], *row[start + 1 : stop + 1])
        tables.append(table)
        start = stop
    return tables or [plain_table(title, first)]


def choose_anchor(results: Results, wanted: str | None = None) -> str:
    """Return the label of the curve that BD-rates in the summary are against; "" where there is none.

    ``wanted`` is a codec's name, or a published curve's.
    """
    labels = {
        curve.name: curve.label
        for averages in results.averages.values()
        for curve in [*averages.curves, *results.published(averages.metric)]
    }
    if wanted:
        return labels.get(wanted, "")
    return next((labels[name] for name in DEFAULT_ANCHORS if name in labels), next(iter(labels.values()), ""))


def bd_text(value: BdRate | str | None) -> str:
    """Return a BD-rate for a table cell: a sign always, ``*`` after a small overlap, a dash for none."""
    if not isinstance(value, BdRate):
        return "–"
    return f"{value.percent:+.1f} %" + ("*" if value.overlap < SMALL_OVERLAP else "")


def summary_tables(results: Results, anchor: str, width: int) -> list[Table]:
    """Return one row a codec: BD-rates against ``anchor`` by metric, times, peak memory."""
    headings = [METRICS[metric].short for metric in results.metrics]
    speeds = {speed.codec: speed for speed in results.speeds}
    if speeds:
        headings += ["encode", "decode", "peak memory"]
    bd_rates = results.bd_rates
    labels = [(codec.name, codec.label) for codec in results.codecs]
    labels += [(s.codec, s.label) for s in results.speeds if s.codec not in dict(labels)]
    rows = []
    for name, label in labels:
        cells = [bd_text(bd_rates[m].get(anchor, {}).get(label)) for m in results.metrics]
        rows.append([name, *cells, *(_speed_cells(speeds.get(name)) if speeds else ())])
    return fitted(f"BD-rate against {anchor}" if anchor else "Results", "codec", headings, rows, width)


def _speed_cells(speed) -> list[str]:
    if speed is None or speed.error:
        return ["–", "–", "–"]
    return [seconds(speed.encode_seconds), seconds(speed.decode_seconds), f"{speed.peak_mib:.0f} MiB"]


def seconds(value: float) -> str:
    """Return a time with three digits: ``6.3 ms``, ``1.25 s``."""
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def ratio(value: float, base: float) -> str:
    """Return how many times longer than ``base`` something takes: ``2.5``, ``310``."""
    times = value / base
    return f"{times:.3g}" if times < 100 else f"{times:.0f}"


def matrix_tables(results: Results, metric: str, width: int) -> list[Table]:
    """Return BD-rates in percent of the measured codecs (columns) against measured and published anchors.

    The published rows are those of the plots; the report and ``results.json`` have all.
    """
    averages = results.averages[metric]
    matrix = results.bd_rates[metric]
    rows = []
    for anchor in [*averages.curves, *chosen_published(results.published(metric))]:
        row = matrix[anchor.label]
        name = anchor.label if anchor.published else anchor.name
        rows.append([name, *(bd_text(row[curve.label]).replace(" %", "") for curve in averages.curves)])
    title = f"BD-rate in % of the column against the row, {METRICS[metric].label}"
    return fitted(title, "anchor", [curve.name for curve in averages.curves], rows, width)


def ratio_tables(results: Results, width: int) -> list[Table]:
    """Return times beside the first nicodec codec's (or the first codec's): how many times longer."""
    speeds = [speed for speed in results.speeds if not speed.error]
    base = next((s for s in speeds if s.codec.startswith("nicodec-")), speeds[0])
    title = (
        f"Times, {base.threads} threads, median of {base.pictures} pictures of {base.megapixels:.2f} "
        f"megapixels, warm; ratios to {base.codec}"
    )
    headings = ("setting", "load", "encode", "ratio", "decode", "ratio", "memory", "the codec's")
    rows = [
        [
            s.codec,
            f"{s.setting:g}",
            seconds(s.load_seconds),
            seconds(s.encode_seconds),
            ratio(s.encode_seconds, base.encode_seconds),
            seconds(s.decode_seconds),
            ratio(s.decode_seconds, base.decode_seconds),
            f"{s.peak_mib:.0f} MiB",
            f"{s.extra_mib:.0f} MiB",
        ]
        for s in speeds
    ]
    return fitted(title, "codec", headings, rows, width)
