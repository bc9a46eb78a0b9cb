"""The bench of quantisers: its features, its entries' bits, a run that goes on, and its tables."""

import dataclasses
import json

import pytest
import torch

from kodak_eval.errors import DatasetError, EvaluationError
from kodak_eval.quantizers import report
from kodak_eval.quantizers.bench import RESULTS, Request, bench, read_results
from kodak_eval.quantizers.entries import ENTRIES, entry_of
from kodak_eval.quantizers.features import Features, load_features
from kodak_eval.quantizers.training import Result, entropy, gaussian_error, run, used


def small_features() -> Features:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(3000, 32, generator=generator) * torch.linspace(2, 0.1, 32)
    return Features(rows[:2000], rows[2000:], 1.0, 2)


def ticking():
    """A clock of which every look takes 10 ms: the same steps on any machine."""
    now = 0.0

    def clock():
        nonlocal now
        now += 0.01
        return now

    return clock


def result(name="vq", nominal=8, seed=0, mse=0.1, **more):
    whole = Result(name, nominal, float(nominal), seed, 1.0, "f", 3, 0.1, mse, 0.05, 7.5, 0.9, 1e5, 1e7, 1024)
    return dataclasses.replace(whole, **more)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_has_the_bits_that_it_says(entry):
    for nominal in entry.bits:
        if nominal > 12 and len(entry.bits) > 1:
            continue
        bits = entry.settings(nominal).build(32).bits
        assert bits == pytest.approx(nominal, abs=0.01) or (len(entry.bits) == 1 and abs(bits - nominal) < 2)


def test_a_run_is_the_same_again_and_beats_nothing():
    features = small_features()
    first = run(entry_of("fsq"), 8, 3, 0.4, features, ticking())
    again = run(entry_of("fsq"), 8, 3, 0.4, features, ticking())
    timed = {"start_seconds": 0.0, "encoded": 0.0, "decoded": 0.0}
    assert dataclasses.replace(first, **timed) == dataclasses.replace(again, **timed)
    assert first.steps > 5
    assert first.gaussian_mse < first.mse < 1
    assert 0 < first.codes_used <= 1.2
    assert first.entropy <= 8.2
    assert first.table_bytes == 4 * 32 * 4


def test_the_gaussian_bound_is_that_of_a_plain_source():
    rows = torch.randn(100_000, 2, generator=torch.Generator().manual_seed(1))
    assert gaussian_error(rows, 0.0) == pytest.approx(1, abs=1e-6)
    assert gaussian_error(rows, 4.0) == pytest.approx(2.0**-4, rel=0.01)


def test_even_codes_have_full_entropy_and_use():
    symbols = torch.arange(64).repeat(100)
    assert entropy(symbols) == pytest.approx(6, abs=0.01)
    assert used(symbols[:, None], 6) == pytest.approx(1)
    assert used(torch.zeros(100, 2, dtype=torch.int64), 6) < 0.02


def test_a_bench_goes_on_where_it_stopped(pictures, tmp_path):
    (pictures / "small.png").unlink()
    request = Request(tmp_path / "out", (pictures,), ("fsq", "bsq"), (8,), 1, 0.1)
    said = []
    first = bench(request, said.append)
    assert [each.name for each in first] == ["fsq", "bsq"]
    path = tmp_path / "out" / RESULTS
    lines = path.read_text().splitlines()
    path.write_text(lines[0] + "\n" + lines[1][:40])
    said.clear()
    second = bench(request, said.append)
    assert second[0] == first[0]
    assert sum("bsq" in line for line in said) == 1
    assert not any("fsq" in line or "once" in line for line in said)
    assert len(read_results(path)) == 2


def test_latents_need_pictures(tmp_path):
    with pytest.raises(DatasetError, match="no pictures"):
        load_features([tmp_path], tmp_path / "cache", print)


@pytest.mark.parametrize(
    ("request_", "words"),
    [(Request(None, names=("nothing",)), "no quantiser 'nothing'"), (Request(None, bits=(9,)), "9 bits")],
)
def test_what_is_not_there_is_said(request_, words):
    with pytest.raises(EvaluationError, match=words):
        request_.entries()


def test_tables_rank_by_the_gap_and_say_how_stable_that_is(tmp_path):
    results = [result("a", seed=0, mse=0.1), result("a", seed=1, mse=0.12), result("b", seed=0, mse=0.08)]
    results += [result("b", seed=1, mse=0.09), result("c", seed=0, mse=0.2), result("c", seed=1, mse=0.085)]
    rows = report.rows_of(results, 8)
    assert [row[0] for row in rows] == ["b", "a", "c"] or [row[0] for row in rows] == ["b", "c", "a"]
    assert len(rows[0]) == len(report.COLUMNS)
    assert report.stability(results[:4], 8) == pytest.approx(1)
    assert report.stability(results, 8) == pytest.approx(-0.5)
    assert report.stability(results[:1], 8) is None
    text = report.markdown([*results, result("a", nominal=10)])
    assert "### 8 bits a position (rank correlation of the seeds -0.50)" in text
    assert "### 10 bits a position\n" in text
    report.plot([*results, result("a", nominal=10)], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_results_survive_as_lines(tmp_path):
    path = tmp_path / RESULTS
    path.write_text(json.dumps(dataclasses.asdict(result())) + "\n")
    assert read_results(path) == [result()]
    assert read_results(tmp_path / "none") == []


def test_the_command_benches(pictures, tmp_path, capsys):
    pytest.importorskip("typer")
    from nicodec_cli.main import run as nicodec

    folder = tmp_path / "out"
    words = ["bench", "quantizers", "--data", str(pictures), "-o", str(folder), "--quantizer", "bsq", "--bits", "8"]
    (pictures / "small.png").unlink()
    assert nicodec([*words, "--seconds", "0.1", "--seeds", "1"]) == 0
    assert "gap dB" in capsys.readouterr().out
    assert {each.name for each in folder.iterdir()} >= {RESULTS, "table.md", "plot.png"}
    assert nicodec(["bench", "soup"]) == 2
