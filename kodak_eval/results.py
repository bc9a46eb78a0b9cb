"""Everything that a run found, as one value and as ``results.json``."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from kodak_eval import metrics
from kodak_eval.agreement import TOLERANCE, Agreement, agreements
from kodak_eval.averages import Averages, average
from kodak_eval.bdrate import BdRate
from kodak_eval.codecs.base import Codec
from kodak_eval.curves import Curve, bd_rate_matrix, published_curves
from kodak_eval.datasets import Dataset
from kodak_eval.measurement import Measurement
from kodak_eval.metrics import METRICS
from kodak_eval.progressive.cutting import CutFile
from kodak_eval.runner import failures_of
from kodak_eval.speed import Speed
from nicodec.threads import usable_cores

FORMAT = "nicodec-eval 1"


@dataclass
class Results:
    """A finished run.

    Attributes:
        dataset: what was measured.
        codecs: in the order of tables.
        versions: ``codec.version()`` by name.
        metrics: names, the first is the one of the main plot.
        measurements: every picture at every setting.
        speeds: empty where times were not taken.
        missing: reason by name of the codecs and metrics that could not run here.
        seconds: wall time of the run.
        variants: further codecs, measured by PSNR for the table of agreement alone.
        cut_files: what the first bytes of files in levels give, and of others of their size.
        cut_failures: why some pictures have none, by name.
        of_sets: curves of the metrics that compare sets of pictures, by name.

    """

    dataset: Dataset
    codecs: list[Codec]
    versions: dict[str, str]
    metrics: list[str]
    measurements: list[Measurement]
    speeds: list[Speed] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    variants: list[Codec] = field(default_factory=list)
    cut_files: list[CutFile] = field(default_factory=list)
    cut_failures: dict[str, str] = field(default_factory=dict)
    of_sets: dict[str, Averages] = field(default_factory=dict)

    @cached_property
    def averages(self) -> dict[str, Averages]:
        """Return the curves by metric."""
        of_pictures = metrics.of_pictures(self.metrics)
        found = {metric: average(metric, self.codecs, self.measurements) for metric in of_pictures} | self.of_sets
        return {metric: found[metric] for metric in self.metrics}

    @cached_property
    def variant_curves(self) -> tuple[Curve, ...]:
        """Return the PSNR curves of ``variants``."""
        return average("psnr", self.variants, self.measurements).curves if self.variants else ()

    @cached_property
    def agreements(self) -> list[Agreement]:
        """Return how live anchors and published curves of PSNR agree; [] where there are no published ones."""
        if "psnr" not in self.averages:
            return []
        return agreements([*self.averages["psnr"].curves, *self.variant_curves], self.published("psnr"))

    def published(self, metric: str) -> list[Curve]:
        """Return others' curves of ``metric``, if this data set is whole and known to be theirs."""
        return published_curves(metric, self.dataset.name) if self.dataset.verified else []

    @cached_property
    def bd_rates(self) -> dict[str, dict[str, dict[str, BdRate | str]]]:
        """Return by metric, anchor's label and curve's label the BD-rate or why there is none.

        Measured curves are anchors; both measured and published ones are compared with them.
        """
        tables = {}
        for metric, averages in self.averages.items():
            curves = [*averages.curves, *self.published(metric)]
            higher = METRICS[metric].higher_is_better
            tables[metric] = bd_rate_matrix(curves, curves, higher_is_better=higher)
        return tables

    def failures(self) -> list[dict[str, str]]:
        """Return what failed, a row each."""
        cuts = [{"picture": p, "codec": "", "what": "cut files", "reason": r} for p, r in self.cut_failures.items()]
        return [*failures_of(self.dataset, self.measurements), *cuts]


def machine() -> dict[str, object]:
    """Return what the times were taken on."""
    cpu = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "cpu": cpu,
        "cores": usable_cores(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def as_json(results: Results) -> dict[str, Any]:
    """Return the results as plain values; what is not finite becomes None."""
    averages = results.averages
    return _plain(
        {
            "format": FORMAT,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": [Path(sys.argv[0]).name.replace("__main__.py", "nicodec"), *sys.argv[1:]],
            "seconds": results.seconds,
            "machine": machine(),
            "dataset": {
                "name": results.dataset.name,
                "verified": results.dataset.verified,
                "pictures": [
                    {"name": p.name, "width": p.width, "height": p.height, "sha256": p.sha256}
                    for p in results.dataset.pictures
                ],
            },
            "codecs": {codec.name: _codec(codec, results) for codec in results.codecs},
            "metrics": {
                name: {
                    "label": METRICS[name].label,
                    "short": METRICS[name].short,
                    "higher_is_better": METRICS[name].higher_is_better,
                    "by": METRICS[name].key() if METRICS[name].package else "kodak_eval",
                }
                for name in results.metrics
            },
            "missing": results.missing,
            "curves": {
                metric: {
                    "pictures": average.pictures,
                    "left_out": average.left_out,
                    "measured": [asdict(curve) for curve in average.curves],
                    "published": [asdict(curve) for curve in results.published(metric)],
                }
                for metric, average in averages.items()
            },
            "bd_rates": {
                metric: {
                    anchor: {
                        label: asdict(value) if isinstance(value, BdRate) else {"reason": value}
                        for label, value in row.items()
                    }
                    for anchor, row in table.items()
                }
                for metric, table in results.bd_rates.items()
            },
            "agreement": {
                "tolerance": TOLERANCE,
                "rows": [
                    asdict(row) | {"best_gap": row.best_gap, "alike_gap": row.alike_gap} for row in results.agreements
                ],
                "curves": [asdict(curve) for curve in results.variant_curves],
                "codecs": {codec.name: _codec(codec, results) for codec in results.variants},
            },
            "cut_files": [file.as_json() for file in results.cut_files],
            "speeds": [asdict(speed) for speed in results.speeds],
            "failures": results.failures(),
            "measurements": [asdict(m) for m in results.measurements],
        }
    )


def _codec(codec: Codec, results: Results) -> dict[str, Any]:
    return {
        "label": codec.label,
        "version": results.versions[codec.name],
        "parameter": codec.parameter,
        "commands": {f"{setting:g}": codec.command(setting) for setting in codec.settings},
    }


def write_json(document: dict[str, object], path: Path) -> None:
    """Write ``as_json``'s value as UTF-8, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(part, path)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
