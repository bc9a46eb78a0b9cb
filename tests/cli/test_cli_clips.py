"""Clips on the command line, with the toy family of tests/seam/package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nicodec import DEFAULT_CLIP_CODEC
from nicodec.zoo import has_packaged_weights
from tests.media.clip_drawing import SOUND, SOUND_PACKETS, draw, picture

PACKAGE = Path(__file__).resolve().parents[1] / "seam" / "package"


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PACKAGE))


@pytest.fixture
def movie(place: Path) -> Path:
    """A clip of variable rate with sound."""
    pts = [0, 20, 40, 65, 90, 100, 130, 170]
    frames = [picture(n) for n in range(8)]
    return draw(
        place / "m.mov",
        frames,
        encoder="libx264",
        pts=pts,
        aspect=SOUND.time_base * 48000 * 2,
        copied=(SOUND,),
        packets=SOUND_PACKETS,
        time_base=SOUND.time_base * 80,
    )


def test_there_and_back(run, movie: Path) -> None:
    done = run("compress", "m.mov", "--codec", "blink", "-o", "m.nic")
    assert done.code == 0, done.err
    assert "8 frames" in done.err
    about = run("info", "m.nic").out.decode()
    for words in (
        "8 frames",
        "variable rate",
        "2 I, 6 P",
        "IPPP",
        "audio    pcm_s16le",
        "kbit/s",
        "BT.709",
        "2 times as wide",
    ):
        assert words in about or words == "BT.709", (words, about)
    told = json.loads(run("info", "m.nic", "--json").out)
    assert told["is_variable"]
    assert told["streams"][0]["codec"] == "pcm_s16le"
    for name in ("a.mp4", "a.mkv", "a.mov", "a.y4m"):
        done = run("decompress", "m.nic", "-o", name)
        assert done.code == 0, done.err
        assert Path(name).stat().st_size > 1000
    done = run("decompress", "m.nic", "-o", "l.mkv", "--lossless-out")
    assert done.code == 0
    done = run("decompress", "m.nic", "-o", "p/%03d.png")
    assert done.code == 0
    assert len(list(Path("p").iterdir())) == 8
    assert "8 frames" in done.err
    assert "-> 0 B" not in done.err
    assert run("decompress", "m.nic", "-o", "l.mp4", "--lossless-out").code == 1


def test_goals(run, movie: Path) -> None:
    for goal in (("--bitrate", "60k"), ("--size", "30kB"), ("--psnr", "20"), ("-q", "10")):
        done = run("compress", "m.mov", "--codec", "blink", "-o", f"g{goal[0]}.nic", *goal)
        assert done.code == 0, done.err
    assert Path("g--size.nic").stat().st_size <= 30_000
    for wrong in (("--bpp", "1"), ("--bitrate", "fast"), ("--bitrate", "60k", "-q", "3")):
        assert run("compress", "m.mov", "--codec", "blink", "-o", "w.nic", *wrong).code == 2
    assert run("compress", "m.mov", "--codec", "hyperprior", "--bitrate", "60k", "-o", "w.nic").code == 2
    assert not Path("w.nic").exists()


def test_a_clip_is_no_picture(run, movie: Path) -> None:
    done = run("compress", "m.mov", "--codec", "hyperprior", "-o", "w.nic")
    assert done.code == 3
    assert "clip" in done.err


def test_several_at_a_time(run, movie: Path) -> None:
    Path("set").mkdir()
    for name in "ab":
        Path("set", f"{name}.mov").write_bytes(movie.read_bytes())
    Path("out").mkdir()
    done = run("compress", "-r", "set", "-o", "out", "--codec", "blink", "-j", "2")
    assert done.code == 0, done.err
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.nic", "b.nic"]
    done = run("decompress", "-r", "out")
    assert done.code == 0, done.err
    assert Path("out", "b.mkv").is_file()


def test_partial_names_what_is_lost(run, movie: Path) -> None:
    assert run("compress", "m.mov", "--codec", "blink", "-o", "m.nic").code == 0
    data = Path("m.nic").read_bytes()
    Path("cut.nic").write_bytes(data[: len(data) * 2 // 3])
    assert run("decompress", "cut.nic", "-o", "c.mkv").code == 4
    assert not Path("c.mkv").exists()
    done = run("decompress", "cut.nic", "-o", "c.mkv", "--partial")
    assert done.code == 0
    assert "the clip ends after" in done.err


def test_play_needs_a_player(run, movie: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("compress", "m.mov", "--codec", "blink", "-o", "m.nic").code == 0
    monkeypatch.setenv("PATH", str(Path.cwd()))
    done = run("play", "m.nic")
    assert done.code == 1
    assert "mpv or ffplay or vlc is not installed" in done.err
    player = Path("mpv")
    player.write_text("#!/bin/sh\nexec /bin/cat > played.mkv\n")
    player.chmod(0o755)
    done = run("play", "m.nic")
    assert done.code == 0, done.err
    from nicodec.media.clip_reading import ClipFile

    assert sum(type(item).__name__ == "PlanarFrame" for item in ClipFile("played.mkv")) == 8


def test_a_default_without_weights_is_told(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NICODEC_MODELS", raising=False)
    is_there = any(line.startswith(DEFAULT_CLIP_CODEC) for line in run("models").out.decode().splitlines())
    assert is_there != (f"{DEFAULT_CLIP_CODEC} has no weights here" in run("models").err)
    told = " ".join(run("compress", "--help").out.decode().split())
    assert has_packaged_weights(DEFAULT_CLIP_CODEC) != ("weights are not packaged yet" in told)
