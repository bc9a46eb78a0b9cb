"""The runner: cached by content, going on after an interruption, and never ended by one picture."""

import dataclasses
import math

import pytest

from kodak_eval import runner
from kodak_eval.averages import EQUAL_DB, average
from kodak_eval.cache import Cache

from .rounding_codec import Rounding

METRICS = ("psnr", "psnr_yuv")


def forget(measurement):
    return dataclasses.replace(measurement, cached=False)


def test_second_run_computes_nothing(dataset, tmp_path, monkeypatch):
    jobs = runner.plan(dataset, [Rounding()], METRICS)
    first = runner.run(jobs, tmp_path / "cache", processes=1)
    assert not any(m.cached for m in first)
    monkeypatch.setattr(Rounding, "encode", None)
    monkeypatch.setattr(Rounding, "decode", None)
    second = runner.run(jobs, tmp_path / "cache", processes=1)
    assert all(m.cached for m in second)
    assert [forget(m) for m in second] == [forget(m) for m in first]
    assert first[0].bpp == 8 * first[0].size / (176 * 208)


def test_another_metric_decodes_but_does_not_encode(dataset, tmp_path, monkeypatch):
    runner.run(runner.plan(dataset, [Rounding()], ["psnr"]), tmp_path, processes=1)
    monkeypatch.setattr(Rounding, "encode", None)
    again = runner.run(runner.plan(dataset, [Rounding()], ["psnr", "psnr_yuv"]), tmp_path, processes=1)
    assert all(set(m.values) == {"psnr", "psnr_yuv"} and not m.error for m in again)


@pytest.mark.parametrize("change", [{"version": "2"}, {"setting": 7.0}])
def test_what_determines_a_result_is_in_its_key(dataset, change):
    job = runner.plan(dataset, [Rounding()], METRICS)[0]
    assert dataclasses.replace(job, **change).cache_key() != job.cache_key()
    other = dataclasses.replace(job.picture, sha256="0" * 64)
    assert dataclasses.replace(job, picture=other).cache_key() != job.cache_key()
    renamed = dataclasses.replace(job.picture, name="elsewhere")
    assert dataclasses.replace(job, picture=renamed).cache_key() == job.cache_key()


def test_an_interrupted_run_goes_on(dataset, tmp_path):
    jobs = runner.plan(dataset, [Rounding()], METRICS)

    def stop_after_four(measurement, seen=[]):  # noqa: B006 - counts calls
        seen.append(measurement)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(jobs, tmp_path, processes=1, done=stop_after_four)
    assert sum(m.cached for m in runner.run(jobs, tmp_path, processes=1)) == 4


def test_damaged_entries_are_measured_again(dataset, tmp_path):
    jobs = runner.plan(dataset, [Rounding()], METRICS)[:1]
    runner.run(jobs, tmp_path, processes=1)
    (entry,) = tmp_path.rglob("*.json")
    entry.write_text(entry.read_text()[:20])
    assert Cache(tmp_path).load(entry.stem) is None
    assert not runner.run(jobs, tmp_path, processes=1)[0].cached


def test_a_failing_picture_is_named_and_left_out_of_the_means(dataset, tmp_path):
    codecs = [Rounding(), Rounding(name="picky", label="Picky", broken_width=192)]
    measurements = runner.run(runner.plan(dataset, codecs, ["psnr", "ms_ssim"]), tmp_path, processes=1)
    rows = runner.failures_of(dataset, measurements)
    assert {(row["picture"], row["codec"], row["what"]) for row in rows} == {
        ("b", "picky", "encode or decode"),
        ("small", "", "ms_ssim"),
    }
    assert "this width is not for me" in next(row["reason"] for row in rows if row["codec"])
    psnr = average("psnr", codecs, measurements)
    assert psnr.pictures == ("a", "small")
    assert psnr.left_out == {"b": "no psnr from Picky"}
    ms_ssim = average("ms_ssim", codecs, measurements)
    assert ms_ssim.pictures == ("a",)
    assert ms_ssim.left_out["small"] == "no ms_ssim from Rounding, Picky"
    rounding, picky = psnr.curves
    assert rounding.rates == picky.rates
    wanted = [m for m in measurements if m.codec == "rounding" and m.setting == 96 and m.picture != "b"]
    assert rounding.rates[0] == sum(m.bpp for m in wanted) / 2
    assert rounding.settings == (96, 48, 24, 12, 6)


def test_a_codec_that_mostly_fails_is_left_out_instead(dataset, tmp_path):
    failing = Rounding(name="none", label="None", settings=(0,))
    codecs = [Rounding(), failing]
    measurements = runner.run(runner.plan(dataset, codecs, ["psnr"]), tmp_path, processes=1)
    averages = average("psnr", codecs, measurements)
    assert [curve.name for curve in averages.curves] == ["rounding"]
    assert averages.left_out == {"none": "psnr on 0 of 3 pictures only"}


def test_lossless_points_are_left_out_of_the_curve(dataset, tmp_path):
    codec = Rounding(settings=(96, 24, 1))
    measurements = runner.run(runner.plan(dataset, [codec], ["psnr"]), tmp_path, processes=1)
    (curve,) = average("psnr", [codec], measurements).curves
    assert curve.settings == (96, 24)


def test_equal_pictures_count_in_the_mean(dataset, tmp_path):
    codec = Rounding(settings=(24,))
    first, *others = runner.run(runner.plan(dataset, [codec], ["psnr"]), tmp_path, processes=1)
    equal = dataclasses.replace(first, values={"psnr": math.inf})
    (curve,) = average("psnr", [codec], [equal, *others]).curves
    assert curve.qualities[0] == pytest.approx((EQUAL_DB + sum(m.values["psnr"] for m in others)) / (1 + len(others)))


def test_processes_give_the_same_results_and_a_dying_one_costs_its_job_only(dataset, tmp_path):
    codecs = [
        Rounding(settings=(96, 24)),
        Rounding(name="deadly", settings=(96,), broken_width=120, dies=True),
    ]
    jobs = runner.plan(dataset, codecs, ["psnr"])
    seen = []
    measurements = runner.run(jobs, tmp_path / "two", processes=2, done=seen.append)
    assert len(seen) == len(jobs)
    assert [(m.picture, m.codec) for m in measurements if m.error] == [("small", "deadly")]
    assert "the process died" in next(m.error for m in measurements if m.error)
    alone = runner.run([j for j in jobs if j.codec.name == "rounding"], tmp_path / "one", processes=1)
    together = [m for m in measurements if m.codec == "rounding"]
    assert [(m.size, m.values) for m in together] == [(m.size, m.values) for m in alone]
