"""BD-rate: a known shift, the package bjontegaard on many pairs, and each refusal."""

import itertools

import bjontegaard
import pytest

from kodak_eval.bdrate import bd_rate, compare
from kodak_eval.curves import Curve, bd_rate_matrix, published_curves
from kodak_eval.errors import BdRateError

RATE = [0.1, 0.2, 0.4, 0.8, 1.6]
QUALITY = [28.0, 30.5, 33.5, 36.9, 40.0]


def test_half_the_rate_is_minus_fifty_percent():
    assert bd_rate(RATE, QUALITY, [r / 2 for r in RATE], QUALITY) == pytest.approx(-50)
    assert bd_rate([r / 2 for r in RATE], QUALITY, RATE, QUALITY) == pytest.approx(100)


def test_order_of_points_does_not_matter():
    assert bd_rate(RATE[::-1], QUALITY[::-1], RATE, QUALITY) == pytest.approx(0)


def test_equals_the_package_bjontegaard_on_published_curves():
    compared = 0
    for a, b in itertools.permutations(published_curves("psnr")[:12], 2):
        theirs = bjontegaard.bd_rate(
            a.rates, a.qualities, b.rates, b.qualities, "pchip", require_matching_points=False, min_overlap=0
        )
        assert bd_rate(a.rates, a.qualities, b.rates, b.qualities) == pytest.approx(theirs, abs=0.05)
        compared += 1
    assert compared >= 10


def test_overlap_is_told():
    result = compare(RATE, QUALITY, RATE, [q + 6 for q in QUALITY])
    assert (result.low, result.high) == (34, 40)
    assert result.overlap == pytest.approx(6 / 18)


@pytest.mark.parametrize(
    ("rate", "quality", "reason"),
    [
        (
            RATE,
            [q + 12.5 for q in QUALITY],
            "no common quality: the anchor spans 28 to 40, the tested curve 40.5",
        ),
        (RATE[:3], QUALITY[:3], "the tested curve has 3 points; BD-rate needs at least 4"),
        (RATE, [28, 31, 30, 36, 40], "the tested curve is not monotone: quality 31 at rate 0.2, then 30 at"),
        ([0.1, 0.2, 0.2, 0.8], [28, 30, 31, 36], "not monotone"),
        ([0, *RATE[1:]], QUALITY, "a rate of 0"),
        (RATE, [*QUALITY[:4], float("inf")], "not finite"),
        (RATE, QUALITY[:4], "5 rates but 4 qualities"),
    ],
)
def test_refusals_give_the_reason(rate, quality, reason):
    with pytest.raises(BdRateError, match=reason):
        bd_rate(RATE, QUALITY, rate, quality)


def test_matrix_has_reasons_in_place_of_numbers():
    good = Curve("a", "a", tuple(RATE), tuple(QUALITY))
    apart = Curve("b", "b", tuple(RATE), tuple(q + 20 for q in QUALITY))
    matrix = bd_rate_matrix([good, apart])
    assert matrix["a"]["a"].percent == pytest.approx(0)
    assert matrix["a"]["b"].startswith("no common quality")


def test_matrix_of_a_distance_turns_it_round():
    worse = Curve("a", "a", tuple(RATE), (0.5, 0.4, 0.3, 0.2, 0.1))
    better = Curve("b", "b", tuple(r / 2 for r in RATE), (0.5, 0.4, 0.3, 0.2, 0.1))
    assert bd_rate_matrix([worse, better], higher_is_better=False)["a"]["b"].percent == pytest.approx(-50)


def test_published_curves_name_their_sources():
    curves = published_curves("psnr")
    assert {"VTM 18.0", "BPG 4:4:4 (x265)", "ELIC", "MLIC++"} <= {curve.name for curve in curves}
    assert all(curve.published and curve.label.endswith("published") for curve in curves)
    assert published_curves("psnr", "clic-mobile") == []
    assert {curve.name for curve in published_curves("ms_ssim")} >= {"MS-ILLM"}
