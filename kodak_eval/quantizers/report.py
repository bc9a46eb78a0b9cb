"""Tables and a plot of the bench's results."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean

import numpy as np

from kodak_eval.quantizers.training import Result

COLUMNS = ("quantiser", "bits", "MSE %", "Gaussian %", "gap dB", "spread", "entropy", "use %", "steps", "encode k/s",
           "decode M/s", "table KiB")  # fmt: skip
"""Of a table; `explained` says what they are."""

EXPLAINED = """\
MSE and what a Gaussian source of the same covariance allows at these bits (reverse water-filling), as shares of the
features' variance; the gap between them, and how far the seeds lie apart in it; entropy of the indices, a static
table each, by their frequencies among the test rows (with Miller's correction for their number; far more codes than
rows still seem to have less); codes met among the test rows, as a share of what even use would bring; steps of
training in the time; rows a second, one thread; what a decoder stores."""


def by_gap(results: Sequence[Result], nominal: int) -> list[list[Result]]:
    """The runs of each quantiser at so many bits, the least mean gap first."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        if result.nominal == nominal:
            groups.setdefault(result.name, []).append(result)
    return sorted(groups.values(), key=_gap)


def _gap(runs: Sequence[Result]) -> float:
    return fmean(result.gap for result in runs)


def rows_of(results: Sequence[Result], nominal: int) -> list[list[str]]:
    """The table's rows at so many bits: means over seeds."""
    found = []
    for runs in by_gap(results, nominal):
        gaps = [result.gap for result in runs]
        found.append(
            [
                runs[0].name,
                f"{runs[0].bits:.4g}",
                f"{100 * fmean(r.mse for r in runs):.2f}",
                f"{100 * runs[0].gaussian_mse:.2f}",
                f"{fmean(gaps):+.2f}",
                f"{max(gaps) - min(gaps):.2f}",
                f"{fmean(r.entropy for r in runs):.2f}",
                f"{100 * fmean(r.codes_used for r in runs):.1f}",
                f"{fmean(r.steps for r in runs):.0f}",
                f"{fmean(r.encoded for r in runs) / 1e3:.3g}",
                f"{fmean(r.decoded for r in runs) / 1e6:.3g}",
                f"{runs[0].table_bytes / 1024:.4g}",
            ]
        )
    return found


def stability(results: Sequence[Result], nominal: int) -> float | None:
    """The least rank correlation (Spearman's) between two seeds' rankings; None with one seed, or one quantiser."""
    groups = by_gap(results, nominal)
    seeds = sorted({result.seed for runs in groups for result in runs})
    whole = [runs for runs in groups if len(runs) == len(seeds)]
    if len(seeds) < 2 or len(whole) < 2:
        return None
    ranks = []
    for seed in seeds:
        gaps = [next(r.gap for r in runs if r.seed == seed) for runs in whole]
        ranks.append(np.argsort(np.argsort(gaps)))
    return min(float(np.corrcoef(a, b)[0, 1]) for a, b in combinations(ranks, 2))


def markdown(results: Sequence[Result]) -> str:
    """All tables as Markdown, with what their columns are."""
    parts = []
    for nominal in sorted({result.nominal for result in results}):
        rho = stability(results, nominal)
        kept = "" if rho is None else f" (rank correlation of the seeds {rho:.2f})"
        lines = [f"### {nominal} bits a position{kept}", ""]
        lines.append("| " + " | ".join(COLUMNS) + " |")
        lines.append("|---|" + "---:|" * (len(COLUMNS) - 1))
        lines += ["| " + " | ".join(row) + " |" for row in rows_of(results, nominal)]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, EXPLAINED]) + "\n"


def plot(results: Sequence[Result], path: Path) -> None:
    """Gap to the Gaussian bound over bits, a line a quantiser, as a picture whose kind the path's ending says."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    bits = sorted({result.nominal for result in results})
    names = {runs[0].name: _gap(runs) for runs in by_gap(results, bits[-1])}
    others = {result.name for result in results} - set(names)
    style = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "nicodec"}
    with pyplot.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
        colours = pyplot.get_cmap("tab20").colors
        for number, name in enumerate([*sorted(names, key=names.__getitem__, reverse=True), *sorted(others)]):
            points = {n: [r for r in results if r.name == name and r.nominal == n] for n in bits}
            whole = {n: runs for n, runs in points.items() if runs}
            x = [runs[0].bits for runs in whole.values()]
            dash = "-" if number % 2 == 0 else "--"
            axes.plot(
                x, [_gap(runs) for runs in whole.values()], dash, marker=".", color=colours[number % 20], label=name
            )
        axes.axhline(0, color="#555555", linewidth=0.8)
        axes.set_xlabel("bits a position")
        axes.set_ylabel("MSE above that of a Gaussian source at these bits, dB")
        axes.set_xticks(bits)
        axes.grid(color="#e3e3e3", linewidth=0.6)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        figure.savefig(path, dpi=110)
        pyplot.close(figure)
