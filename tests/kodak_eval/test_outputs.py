"""The viewer's search, results.json, plots, tables, the report, and the whole command."""

import csv
import dataclasses
import importlib.util
import io
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from typer import Typer
from typer.testing import CliRunner

from kodak_eval import evaluation, runner, speed, tables
from kodak_eval.cache import Cache
from kodak_eval.codecs import codec_from_name
from kodak_eval.curves import Curve
from kodak_eval.decibels import shown_document
from kodak_eval.errors import EvaluationError
from kodak_eval.matched import MatchTask, next_setting
from kodak_eval.outputs import write_all, write_tables
from kodak_eval.plots import plot_rate_distortion
from kodak_eval.results import Results, as_json

from .rounding_codec import Rounding


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Results and output folder of a run over two codecs, one of them with two small failures."""
    from skimage import data

    from kodak_eval import datasets

    root = tmp_path_factory.mktemp("finished")
    (root / "in").mkdir()
    photo = data.astronaut()
    for k, name in enumerate(("a", "b")):
        Image.fromarray(photo[60 * k : 60 * k + 180, 100:340]).save(root / "in" / f"{name}.png")
    (root / "in" / "bad.png").write_bytes(b"no picture")
    dataset = dataclasses.replace(datasets.load("kodak", root / "in", strict=False), verified=True)
    codecs = [Rounding(label="Rounding <b>&"), codec_from_name("webp")]
    measurements = runner.run(runner.plan(dataset, codecs, ["psnr", "psnr_yuv"]), root / "cache", processes=1)
    speeds = [
        speed.Speed(c.name, c.label, 12, 2, 0.1, 0.02 * k, 0.01 * k, 0.04, 100.0, 20.0, 2)
        for k, c in enumerate(codecs, 1)
    ]
    speeds.append(speed.Speed("gone", "Gone", 1, 2, error="no such thing"))
    versions = {codec.name: codec.version() for codec in codecs}
    results = Results(
        dataset, codecs, versions, ["psnr", "psnr_yuv"], measurements, speeds, {"lpips": "no weights"}, 3.0
    )
    paths = write_all(
        results,
        root / "out",
        root / "cache",
        anchor=tables.choose_anchor(results),
        viewer_pictures=2,
        viewer_bpp=0.8,
        processes=1,
    )
    return results, paths, root


def test_all_files_are_written(finished):
    _, paths, root = finished
    assert [path.name for path in paths] == [
        "results.json",
        "rd-psnr.png",
        "rd-psnr.svg",
        "rd-psnr.pdf",
        "rd-psnr_yuv.png",
        "rd-psnr_yuv.svg",
        "rd-psnr_yuv.pdf",
        *(f"published-{name}{kind}" for name in ("ms_ssim", "lpips", "dists") for kind in (".png", ".svg", ".pdf")),
        "report.html",
    ]
    assert {path.name for path in (root / "out").iterdir()} == {path.name for path in paths}
    with Image.open(paths[1]) as plot:
        assert plot.size == (1800, 1040)
    assert ElementTree.parse(paths[2]).getroot().tag.endswith("svg")
    assert re.search(r"<text[^>]*>Published curves: ", paths[2].read_text())
    assert paths[3].read_bytes().startswith(b"%PDF")


def test_plots_of_low_rates_are_logarithmic(tmp_path):
    measured = [Curve("a", "A", (0.012, 0.04, 0.18), (20.0, 23.0, 27.0))]
    published = [Curve("b", "B", (0.02, 0.1, 2.0), (21.0, 24.0, 40.0), source="somebody")]
    paths = plot_rate_distortion(measured, published, title="t", axis="dB", stem=tmp_path / "low")
    texts = set(re.findall(r"<text[^>]*>([^<]+)</text>", paths[1].read_text()))
    assert {"0.02", "0.05", "0.1"} <= texts
    assert not {"0.5", "1", "2", "40"} & texts
    alone = plot_rate_distortion([], published, title="t", axis="dB", stem=tmp_path / "alone")
    texts = set(re.findall(r"<text[^>]*>([^<]+)</text>", alone[1].read_text()))
    assert "Published" in texts
    assert "Measured" not in texts


def test_results_json_has_everything(finished):
    results, paths, _ = finished
    document = json.loads(paths[0].read_text(), parse_constant=pytest.fail)
    assert len(document["measurements"]) == len(results.measurements) == 2 * (5 + 6)
    assert document["codecs"]["webp"]["version"].startswith("Pillow")
    assert document["codecs"]["webp"]["commands"]["60"] == "Image.save(format='WEBP', quality=60, method=6)"
    assert document["failures"][0]["picture"] == "bad.png"
    assert document["missing"] == {"lpips": "no weights"}
    assert document["bd_rates"]["psnr"]["WebP (method 6)"]["WebP (method 6)"]["percent"] == 0
    assert document["curves"]["psnr"]["published"][0]["source"]
    assert document["curves"]["psnr_yuv"]["published"] == []


def test_published_curves_stand_beside_the_whole_known_set_only(finished):
    results, _, _ = finished
    part = dataclasses.replace(results, dataset=dataclasses.replace(results.dataset, verified=False))
    assert part.published("psnr") == []


def test_infinite_values_become_null(finished):
    results, _, _ = finished
    exact = dataclasses.replace(results.measurements[0], values={"psnr": float("inf")})
    changed = dataclasses.replace(results, measurements=[exact, *results.measurements[1:]])
    assert as_json(changed)["measurements"][0]["values"] == {"psnr": None}


def test_tables(finished):
    results, _, _ = finished
    console = Console(width=150, record=True, file=open("/dev/null", "w"))  # noqa: SIM115 - closed below
    console.print(
        *tables.summary_tables(results, tables.choose_anchor(results), 150),
        *tables.matrix_tables(results, "psnr", 150),
        *tables.ratio_tables(results, 150),
    )
    console.file.close()
    text = console.export_text()
    assert "BD-rate against WebP (method 6)" in text
    assert "VTM 18.0, published" in text
    assert re.search(r"webp +12 +100 ms +40 ms +2 +20 ms +2 +100 MiB +20 MiB", text)
    assert tables.choose_anchor(results, "VTM 18.0") == "VTM 18.0, published"
    assert tables.choose_anchor(results, "VTM 99") == ""


@pytest.mark.parametrize("width", [60, 80, 100, 150])
def test_tables_keep_their_numbers_at_any_width(width):
    names = [f"codec-{k}-of-a-long-name" for k in range(9)]
    rows = [[f"{name}, published", *(f"+{100 * j + k}.5*" for k in range(9))] for j, name in enumerate(names)]
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(*tables.fitted("BD-rate", "anchor", names, rows, width))
    text = console.export_text()
    for row in rows:
        for cell in row:
            assert re.search(rf"(^|\s){re.escape(cell)}\s", text), cell
    assert max(map(len, text.splitlines())) <= width


def test_csv_files_are_written_where_asked_for(finished, tmp_path):
    results, _, _ = finished
    measured, curves = write_tables(results, tmp_path)
    rows = list(csv.DictReader(measured.read_text().splitlines()))
    assert len(rows) == len(results.measurements)
    assert float(rows[0]["psnr"]) == results.measurements[0].values["psnr"]
    assert int(rows[0]["bytes"]) == results.measurements[0].size
    means = list(csv.DictReader(curves.read_text().splitlines()))
    assert {row["metric"] for row in means} == {"psnr", "psnr_yuv"}
    assert any(row["source"] for row in means)


def test_ms_ssim_is_shown_in_decibels():
    document = {
        "metrics": {"ms_ssim": {"label": "MS-SSIM, RGB"}},
        "curves": {"ms_ssim": {"measured": [{"qualities": [0.9, 0.99, 1.0]}], "published": []}},
        "bd_rates": {"ms_ssim": {"a": {"b": {"percent": 1.0, "low": 0.9, "high": 0.999}, "c": {"reason": "none"}}}},
    }
    shown = shown_document(document)
    assert shown["curves"]["ms_ssim"]["measured"][0]["qualities"] == pytest.approx([10, 20, 90])
    assert shown["bd_rates"]["ms_ssim"]["a"]["b"] == pytest.approx({"percent": 1.0, "low": 10, "high": 30})
    assert "dB" in shown["metrics"]["ms_ssim"]["label"]
    assert document["curves"]["ms_ssim"]["measured"][0]["qualities"] == [0.9, 0.99, 1.0]


def test_report_is_one_file_without_a_network(finished):
    _, paths, _ = finished
    page = paths[-1].read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)[^$]""", page)
    assert not re.search(r"\b(fetch|XMLHttpRequest|import)\(", page)
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    document = json.loads(data.replace("<\\/", "</"))
    assert document["codecs"]["rounding"]["label"] == "Rounding <b>&"
    assert set(document["viewer"]["images"]) == {"a", "b"}
    found = document["viewer"]["images"]["a"]["rounding"]
    assert f'id="{found["id"]}"' in page
    assert found["values"]["psnr"] > 5


def sizes(setting):
    return 8.0 / setting


@pytest.mark.parametrize("step", [1, 0.5, 0.001])
def test_search_comes_near_any_size_between_the_known_ones(step):
    points = {s: sizes(s) for s in (100.0, 10.0, 2.0)}
    for _ in range(8):
        setting = next_setting(points, 0.4, step, (255, 1))
        if setting is None:
            break
        assert setting not in points
        points[setting] = sizes(setting)
    best = min(points, key=lambda s: abs(points[s] - 0.4))
    assert abs(points[best] / 0.4 - 1) <= 0.05


def test_search_asks_for_the_limit_when_all_known_sizes_are_on_one_side():
    assert next_setting({10.0: 0.8}, 0.1, 1, (255, 1)) == 255
    assert next_setting({10.0: 0.8}, 5, 1, (255, 1)) == 1
    assert next_setting({10.0: 0.8, 255.0: 0.3}, 0.1, 1, (255, 1)) is None
    assert next_setting({3.0: 2.6, 2.0: 4.0}, 3.2, 1, (255, 1)) is None  # nothing whole between


def test_a_match_that_fails_shows_nothing(dataset, tmp_path):
    codec = Rounding(broken_width=dataset.pictures[0].width)
    job = runner.plan(dataset, [codec], ["psnr"])[0]
    assert MatchTask(job, 0.5, ()).perform(Cache(tmp_path)).measurement is None


def test_times_in_a_fresh_process(dataset):
    codecs = [codec_from_name("webp"), Rounding(broken_width=128)]
    webp, broken = speed.measure_speeds(codecs, dataset.pictures[:2], threads=1)
    assert 0 < webp.decode_seconds < webp.encode_seconds < 5
    assert webp.pictures == 2
    assert webp.extra_mib > 0 or sys.platform != "linux"
    assert broken.error == "ValueError: this width is not for me"


def test_subsets_and_unknown_sets(pictures):
    def quiet(what, done, total):
        pass

    part = evaluation.open_dataset(str(pictures), None, fetch=False, limit=2, progress=quiet)
    assert (part.name, len(part.pictures), part.verified) == ("pictures, first 2", 2, False)
    with pytest.raises(EvaluationError, match="--download knows kodak, clic-professional"):
        evaluation.open_dataset(str(pictures), None, fetch=True, limit=0, progress=quiet)
    with pytest.raises(EvaluationError, match="codecs asked for twice: webp"):
        evaluation.choose_codecs(evaluation.Options(Path(), Path(), codecs=("webp", "webp:method=6")))


def test_variants_are_measured_in_a_default_run_on_the_known_set_only(finished):
    dataset = finished[0].dataset
    default = evaluation.Options(Path(), Path())

    def names(dataset, options=default, metrics=("psnr",)):
        return [codec.name for codec in evaluation._variants(dataset, options, metrics)]

    assert names(dataset) == ["jpeg-plain", "jpeg2000-plain", "webp-m4"]
    assert names(dataset, metrics=("ms_ssim",)) == []
    assert names(dataset, dataclasses.replace(default, codecs=("webp",))) == []
    assert names(dataclasses.replace(dataset, verified=False)) == []
    assert names(dataclasses.replace(dataset, name="clic-mobile")) == []


def test_agreement_is_in_results_and_can_be_printed(finished):
    from kodak_eval.agreement_table import agreement_table, from_results

    results, _, _ = finished
    assert as_json(results)["agreement"] == {"tolerance": 6, "rows": [], "curves": [], "codecs": {}}
    own = {curve.name: curve for curve in results.published("psnr")}
    averages = dict(results.averages)
    live = tuple(dataclasses.replace(own[label], name=name) for name, label in (("jpeg", "JPEG"), ("webp", "WebP")))
    averages["psnr"] = dataclasses.replace(averages["psnr"], curves=live)
    agreeing = dataclasses.replace(results)
    agreeing.averages = averages
    (row,) = as_json(agreeing)["agreement"]["rows"]
    assert row["best_gap"] == pytest.approx(0)
    assert agreement_table(agreeing.agreements).row_count == 1
    assert from_results(as_json(agreeing)) == agreeing.agreements


@pytest.fixture(scope="module")
def command():
    """The Typer application of cli/evaluate.py alone."""
    file = Path(__file__).parents[2] / "cli" / "evaluate.py"
    spec = importlib.util.spec_from_file_location("evaluate_command", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app = Typer()
    app.command()(module.evaluate)
    return app


def test_the_command(command, pictures, tmp_path):
    arguments = [str(pictures), "-o", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    arguments += ["-c", "jpeg", "-c", "webp:settings=5/20/50/80", "-m", "psnr", "--processes", "1"]
    arguments += ["--speed-pictures", "0", "--viewer", "1"]
    (pictures / "broken.png").write_bytes(b"")
    first = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert first.exit_code == 0
    assert "30 measurements (30 new)" in first.output
    assert "Failed: broken.png read: cannot be read" in first.output
    second = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert "30 measurements (0 new)" in second.output
    assert (tmp_path / "out" / "report.html").is_file()
