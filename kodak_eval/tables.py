"""What a run found, as tables for the terminal."""

from __future__ import annotations

from rich.table import Table

from kodak_eval.bdrate import SMALL_OVERLAP, BdRate
from kodak_eval.metrics import METRICS
from kodak_eval.results import Results

DEFAULT_ANCHORS = ("x265-444", "webp", "jpeg")
"""The anchor of BD-rates where none is asked for: the first of these that was measured."""


def choose_anchor(results: Results, wanted: str | None = None) -> str:
    """Return the label of the curve that BD-rates in the summary are against; "" where there is none.

    ``wanted`` is a codec's name, or a published curve's.
    """
    labels = {
        curve.name: curve.label
        for averages in results.averages().values()
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


def summary_table(results: Results, anchor: str) -> Table:
    """Return one row a codec: BD-rates against ``anchor`` by metric, times, peak memory."""
    table = Table(title=f"BD-rate against {anchor}" if anchor else "Results", title_justify="left")
    table.add_column("codec")
    for metric in results.metrics:
        table.add_column(METRICS[metric].label, justify="right")
    speeds = {speed.codec: speed for speed in results.speeds}
    if speeds:
        for heading in ("encode", "decode", "peak memory"):
            table.add_column(heading, justify="right")
    bd_rates = results.bd_rates()
    labels = [(codec.name, codec.label) for codec in results.codecs]
    labels += [(s.codec, s.label) for s in results.speeds if s.codec not in dict(labels)]
    for name, label in labels:
        cells = [bd_text(bd_rates[m].get(anchor, {}).get(label)) for m in results.metrics]
        if speeds:
            cells += _speed_cells(speeds.get(name))
        table.add_row(label, *cells)
    return table


def _speed_cells(speed) -> list[str]:
    if speed is None or speed.error:
        return ["–", "–", "–"]
    return [seconds(speed.encode_seconds), seconds(speed.decode_seconds), f"{speed.peak_mib:.0f} MiB"]


def seconds(value: float) -> str:
    """Return a time with three digits: ``6.3 ms``, ``1.25 s``."""
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def matrix_table(results: Results, metric: str) -> Table:
    """Return BD-rates of the measured codecs (columns) against measured and published anchors (rows)."""
    averages = results.averages()[metric]
    table = Table(
        title=f"BD-rate of the column against the row, {METRICS[metric].label}", title_justify="left"
    )
    table.add_column("anchor")
    for curve in averages.curves:
        table.add_column(curve.name, justify="right")
    matrix = results.bd_rates()[metric]
    measured = {curve.label for curve in averages.curves}
    for anchor, row in matrix.items():
        values = [row[curve.label] for curve in averages.curves]
        if anchor in measured or any(isinstance(value, BdRate) for value in values):
            table.add_row(anchor, *(bd_text(value) for value in values))
    return table


def ratio_table(results: Results) -> Table:
    """Return times beside the first nicodec codec's (or the first codec's): how many times longer."""
    speeds = [speed for speed in results.speeds if not speed.error]
    base = next((s for s in speeds if s.codec.startswith("nicodec-")), speeds[0])
    table = Table(
        title=f"Times, {base.threads} threads, median of {base.pictures} pictures of {base.megapixels:.2f} "
        f"megapixels, warm; ratios to {base.label}",
        title_justify="left",
    )
    for heading in (
        "codec",
        "setting",
        "load",
        "encode",
        "ratio",
        "decode",
        "ratio",
        "peak memory",
        "of it the codec",
    ):
        table.add_column(heading, justify="left" if heading == "codec" else "right")
    for s in speeds:
        table.add_row(
            s.label,
            f"{s.setting:g}",
            seconds(s.load_seconds),
            seconds(s.encode_seconds),
            f"{s.encode_seconds / base.encode_seconds:.3g}",
            seconds(s.decode_seconds),
            f"{s.decode_seconds / base.decode_seconds:.3g}",
            f"{s.peak_mib:.0f} MiB",
            f"{s.extra_mib:.0f} MiB",
        )
    return table
