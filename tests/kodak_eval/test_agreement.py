"""The table of agreement, on made-up curves whose BD-rates are known, and on a file of results."""

import dataclasses
import json

import pytest

from kodak_eval.agreement import TOLERANCE, TWINS, agreements
from kodak_eval.agreement_table import from_results, main
from kodak_eval.bdrate import compare
from kodak_eval.curves import Curve, published_curves

RATES = (0.1, 0.2, 0.4, 0.8, 1.6)
QUALITIES = (26.0, 29.0, 32.0, 35.5, 39.0)


def curve(name, factor=1.0, shift=0.0, source=""):
    """A curve that needs `factor` times the bits at every quality, spanning qualities moved by `shift`."""
    rates = tuple(factor * rate * 2 ** (shift / 3) for rate in RATES)
    return Curve(name, name, rates, tuple(q + shift for q in QUALITIES), source=source)


PUBLISHED = [curve("JPEG", source="x"), curve("WebP", 0.7, source="x")]


def test_equal_pairs_agree():
    (row,) = agreements([curve("jpeg"), curve("webp", 0.7)], PUBLISHED)
    assert (row.anchor, row.codec) == ("JPEG", "WebP")
    assert row.published == pytest.approx(-30)
    assert row.best == pytest.approx(-30)
    assert row.best_gap == pytest.approx(0)
    assert (row.alike, row.alike_gap, row.cause) == (None, None, "")


def test_a_gap_of_the_best_settings_names_the_settings():
    live = [curve("jpeg", 0.8), curve("webp", 0.7), curve("jpeg-plain"), curve("webp-m4", 0.7)]
    (row,) = agreements(live, PUBLISHED)
    assert row.best == pytest.approx(-12.5)
    assert row.best_gap == pytest.approx(17.5)
    assert row.alike_gap == pytest.approx(0)
    assert row.cause.startswith("JPEG: optimised Huffman tables")
    assert "WebP: method 6" in row.cause


def test_a_gap_of_the_published_settings_names_the_encoders():
    (row,) = agreements([curve("jpeg-plain"), curve("webp-m4", 0.6)], PUBLISHED)
    assert row.best is None
    assert row.alike_gap == pytest.approx(-10)
    assert "libwebp's version" in row.cause


def test_a_gap_within_the_tolerance_needs_no_cause():
    (row,) = agreements([curve("jpeg"), curve("webp", 0.7 + 0.9 * TOLERANCE / 100)], PUBLISHED)
    assert 0 < row.best_gap < TOLERANCE
    assert row.cause == ""


def test_all_four_curves_are_read_over_the_same_qualities():
    bent = Curve("WebP", "WebP", RATES, (26.0, 29.0, 32.0, 36.0, 42.0), source="x")
    low = [curve("jpeg", shift=-3), curve("webp", 0.7, shift=-3)]  # end at 36 dB: the bend above is not compared
    (row,) = agreements(low, [PUBLISHED[0], bent])
    jpeg = PUBLISHED[0]
    inside = compare(jpeg.rates, jpeg.qualities, bent.rates, bent.qualities, within=(26, 36)).percent
    assert row.published == pytest.approx(inside)
    assert inside != pytest.approx(compare(jpeg.rates, jpeg.qualities, bent.rates, bent.qualities).percent, abs=0.1)


def test_curves_that_do_not_meet_have_a_reason():
    apart = dataclasses.replace(curve("webp"), qualities=tuple(q + 30 for q in QUALITIES))
    (row,) = agreements([curve("jpeg"), apart], PUBLISHED)
    assert (row.published, row.best, row.best_gap) == (None, None, None)
    assert "best: no common quality" in row.cause


def test_pairs_that_were_not_measured_have_no_row():
    assert agreements([curve("jpeg"), curve("webp-m4")], PUBLISHED) == []


def test_twins_are_published_and_can_be_named():
    from kodak_eval.codecs import codec_from_name

    assert {twins.published for twins in TWINS} <= {curve.name for curve in published_curves("psnr")}
    for twins in TWINS:
        assert codec_from_name(twins.best).name == twins.best
        assert codec_from_name(twins.alike).name == twins.alike


def test_the_table_of_a_file_of_results(tmp_path, capsys):
    own = {c.name: c for c in published_curves("psnr")}
    measured = [dataclasses.replace(own["JPEG"], name="jpeg"), dataclasses.replace(own["WebP"], name="webp")]
    document = {"curves": {"psnr": {"measured": [dataclasses.asdict(c) for c in measured]}}}
    (row,) = from_results(document)
    assert row.best_gap == pytest.approx(0)
    file = tmp_path / "results.json"
    file.write_text(json.dumps(document))
    main(str(file))
    assert "WebP against JPEG" in capsys.readouterr().out
