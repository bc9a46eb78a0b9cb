"""`nicodec eval --video`: sources, anchors, the learned codecs, tables and the report."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from kodak_eval.clips import evaluation
from kodak_eval.clips.anchors import ANCHORS
from kodak_eval.clips.evaluation import ClipOptions, clip_codec_from_name
from kodak_eval.clips.learned import variants
from kodak_eval.clips.results import published
from kodak_eval.clips.sources import open_folder
from kodak_eval.errors import CodecUnavailableError, DatasetError, EvaluationError
from nicodec.media.clips import FrameList, from_rgb

PACKAGE = Path(__file__).resolve().parents[1] / "seam" / "package"


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PACKAGE))


def drawn(count: int, width: int = 64, height: int = 48) -> FrameList:
    rng = np.random.default_rng(2)
    y, x = np.mgrid[: height * 2, : width * 2]
    field = np.stack([100 + 60 * np.sin(x / 5), 120 + 50 * np.cos(y / 7), 90 + 0.4 * x], -1)
    field += rng.normal(0, 6, field.shape)
    frames = [field[n : n + height, 2 * n : 2 * n + width].clip(0, 255).astype(np.uint8) for n in range(count)]
    return from_rgb(frames)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of 6 frames: raw planes, and y4m; and a file that is none."""
    from nicodec.media.clip_writing import Y4mSink

    place = tmp_path_factory.mktemp("clips")
    clip = drawn(6)
    planes = b"".join(p.tobytes() for f in clip.frames for p in (f.y, f.u, f.v))
    (place / "raw_64x48_30fps.yuv").write_bytes(planes)
    with (place / "wave.y4m").open("wb") as file:
        sink = Y4mSink(file, drawn(6, 48, 48).format)
        for frame in drawn(6, 48, 48):
            sink.write(frame)
    (place / "broken.mkv").write_bytes(b"nothing")
    return place


def test_sources(folder: Path, tmp_path: Path) -> None:
    clips, failures = open_folder(folder)
    assert [(c.name, c.width, c.height, c.frames, c.rate) for c in clips] == [
        ("raw_64x48_30fps", 64, 48, 6, Fraction(30)),
        ("wave", 48, 48, 6, Fraction(25)),
    ]
    assert list(failures) == ["broken.mkv"]
    raw, original = clips[0].read().frames, drawn(6).frames
    assert all(np.array_equal(a.y, b.y) and np.array_equal(a.v, b.v) for a, b in zip(raw, original, strict=True))
    assert open_folder(folder, most=2)[0][0].frames == 2
    for name, size in (("nosize.yuv", 100), ("a_64x48.yuv", 100), ("a_64x48_10bit.yuv", 9216)):
        (tmp_path / name).write_bytes(bytes(size))
        with pytest.raises(DatasetError, match="yuv"):
            open_folder(tmp_path)
        (tmp_path / name).unlink()


@pytest.mark.parametrize("name", [*ANCHORS])
def test_anchors_code_and_decode(name: str) -> None:
    codec, clip = ANCHORS[name], drawn(9)
    try:
        codec.version()
    except CodecUnavailableError as error:
        pytest.skip(str(error))
    setting = codec.settings[-1]
    data = codec.encode(clip, setting)
    size, each = codec.sizes(data)
    assert sum(each) == size < len(data)
    assert len(each) == 9
    assert each[0] == max(each)  # the one intra frame
    decoded = list(codec.decode(data))
    assert len(decoded) == 9
    for a, b in zip(clip.frames, decoded, strict=True):
        assert np.abs(a.y.astype(int) - b.y).mean() < 8
    assert f"{setting:g}" in codec.command(setting)
    assert len(codec.encode(clip, codec.settings[0])) < len(data)


def test_names() -> None:
    assert [each.name for each in variants("blink")] == ["nicodec-blink", "nicodec-blink-keys_onlyTrue"]
    codec = clip_codec_from_name("nicodec-blink:keys_only=true,settings=20/80")
    assert codec.settings == (20, 80)
    assert "--keys-only" in codec.command(20)
    assert clip_codec_from_name("x264-medium:settings=20/30").settings == (20, 30)
    assert clip_codec_from_name("pictures-hyperprior").name == "pictures-hyperprior"
    for wrong in ("x264-medium:crf=3", "x264-medium:settings=a", "theora", "nicodec-hyperprior"):
        with pytest.raises(EvaluationError):
            clip_codec_from_name(wrong)


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Runs an evaluation, and gives its folder."""
    place = tmp_path_factory.mktemp("evaluated")

    def run() -> Path:
        if not (place / "out" / "report.html").exists():
            evaluation.evaluate(options(folder, place))
        return place

    return run


def options(folder: Path, place: Path) -> ClipOptions:
    return ClipOptions(
        folder=folder,
        output=place / "out",
        cache=place / "cache",
        codecs=(
            "nicodec-blink:settings=60/70/80/90",
            "x264-medium:settings=32/26/20/14",
            "x264-zerolatency:settings=32/26/20/14",
        ),
        processes=1,
    )


def test_a_run_and_its_cache(folder: Path, finished: Callable[[], Path]) -> None:
    place = finished()
    document = json.loads((place / "out" / "results.json").read_text())
    assert len(document["measurements"]) == 24
    for m in document["measurements"]:
        assert m["error"] == ""
        assert len(m["series"]["psnr_yuv"]) == len(m["series"]["bits"]) == 6
        assert abs(np.mean(m["series"]["psnr_yuv"]) - m["values"]["psnr_yuv"]) < 1e-3
        assert "ms_ssim" in m["failures"]  # the clips are small
    zero = document["bd_rates"]["x264-medium"]["x264-zerolatency"]
    assert zero["mean"]["percent"] > 0
    assert document["bd_rates"]["x264-medium"]["x264-medium"]["mean"]["percent"] == 0
    assert {f["clip"] for f in document["failures"]} >= {"broken.mkv"}
    for name in ("rd-psnr_yuv.png", "rd-psnr_rgb.svg", "time-wave.png"):
        assert (place / "out" / name).is_file()
    results, _ = evaluation.evaluate(options(folder, place))
    assert all(m.cached for m in results.measurements)


def test_psnr_is_that_of_the_frames_planes(folder: Path) -> None:
    """By hand: six times Y, U and V, over 8, in dB."""
    from kodak_eval.clips.measurement import _value
    from nicodec.media.clips import PlanarFrame

    a = drawn(1).frames[0]
    b = PlanarFrame(a.y ^ 1, a.u ^ 2, a.v, 0, 1)
    assert _value("psnr_yuv", a, b, []) == pytest.approx((6 * 48.1308 + 42.1102 + 100) / 8, abs=1e-3)


def test_report_plays_both_sides(finished: Callable[[], Path], tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    page = finished() / "out" / "report.html"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    view = "clip=wave&left=original&right=nicodec-blink&frame=3&slider=30&zoom=2"
    done = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", f"file://{page}#{view}"],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    text = done.stdout
    assert 'data-ready="1"' in text
    assert "data-error" not in text.split("<head>")[0]
    assert 'data-shows="original"' in text
    assert 'data-shows="nicodec-blink"' in text
    assert "4 / 6" in text
    assert "width: 96px; height: 96px;" in text
    assert "this frame" in text


def test_published_rates_are_there() -> None:
    rows = published()
    assert any(row["codec"] == "DCVC-FM" and row["source"] for row in rows)


def test_a_picture_codec_codes_every_frame() -> None:
    pytest.importorskip("matplotlib")
    codec, clip = clip_codec_from_name("pictures-hyperprior:settings=80"), drawn(2)
    data = codec.encode(clip, 80)
    decoded = list(codec.decode(data))
    assert len(decoded) == len(codec.sizes(data)[1]) == 2
    for a, b in zip(clip.frames, decoded, strict=True):
        assert np.abs(a.y.astype(int) - b.y).mean() < 6
        assert np.abs(a.u.astype(int) - b.u).mean() < 6
