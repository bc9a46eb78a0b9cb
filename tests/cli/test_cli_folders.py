"""Folders: every file is accounted for, whatever it is; nothing ends the run; what exists can be skipped."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nicodec.media import plugins
from nicodec_cli.folders import CLIPS, KINDS, PICTURES, RAW, count_text
from tests.cli.cli_helpers import encoded, photograph, program


def phone(folder: Path) -> dict[str, int]:
    """Fill a folder as a phone and its owner do; give how many files there are of each kind."""
    pytest.importorskip("pillow_heif")
    pytest.importorskip("pillow_jxl")
    plugins.HEIC.register()
    plugins.JPEG_XL.register()
    png, jpg = encoded(photograph()), encoded(photograph(), "JPEG")
    heic, jxl = encoded(photograph(), "HEIF"), encoded(photograph(), "JXL")
    contents = {
        "pictures": {
            **{f"DCIM/IMG_{n}.HEIC": heic for n in range(5)},
            **{f"DCIM/edited/IMG_{n}.jxl": jxl for n in range(3)},
            "DCIM/IMG_1.JPG": jpg, "DCIM/IMG_1.png": png, "DCIM/deep/er/a b.png": png, "a.jpg": jpg,
            "zu Hause/Straße – 1.jpeg": jpg, "mislabelled.png": jpg, "edited.webp": encoded(photograph(), "WEBP"),
        },
        "failed": {
            "broken.jpg": jpg[: len(jpg) // 2], "empty.png": b"", "text.jpg": b"not a picture",
            "cut.heic": heic[:40], "cut.jxl": jxl[:30],
        },
        "clips": {"DCIM/IMG_1.MOV": b"clip", "a.mp4": b"clip", "b.MP4": b""},
        "RAW photographs": {"raw/a.dng": b"raw", "raw/b.CR2": b"raw", "raw/c.cr3": b"raw", "raw/d.nef": b"1"},
        "other files": {
            "notes.txt": b"x", "Thumbs.db": b"x", "README": b"", "DCIM/IMG_1.AAE": b"<xml/>", "song.mp3": b"x"
        },
        "hidden files": {".DS_Store": b"x", "DCIM/._IMG_1.HEIC": heic, ".thumbnails/1.jpg": jpg},
        ".nic files": {"old.nic": b"x"},
    }  # fmt: skip
    for files in contents.values():
        for name, data in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    counts = {kind: len(files) for kind, files in contents.items()}
    if os.name != "nt":
        (folder / "loop").symlink_to(".", target_is_directory=True)
        (folder / "DCIM" / "up").symlink_to("..", target_is_directory=True)
        (folder / "gone.jpg").symlink_to("nowhere.jpg")
        (folder / "self.png").symlink_to("self.png")
        os.mkfifo(folder / "pipe.jpg")
        counts |= {"links to folders": 2, "failed": counts["failed"] + 2, "pipes or devices": 1}
    return counts


def said(err: str) -> dict[str, int]:
    """What the count of a folder says, by kind."""
    place = re.search(r"^(\d+) files: ", err, re.MULTILINE)
    assert place is not None, err
    first, *rest = err[place.start() :].splitlines()
    counts = {"files": int(place[1])}
    for number, word in re.findall(r"(\d+) (done|skipped|failed|left out|folders? not read)", first):
        counts[word] = int(number)
    for line in rest:
        number, words = re.fullmatch(r"  (\d+) ([^(:]+?)(?: \(.*\))?(?::.*)?", line).groups()
        (kind,) = (kind for kind in KINDS if words == count_text(int(number), kind).partition(" ")[2])
        counts[kind] = int(number)
    return counts


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_file_of_a_phone_is_accounted_for(models, tmp_path, jobs):
    counts = phone(tmp_path / "phone")
    arguments = ("compress", "-r", "phone", "-o", "made/out", "--codec", "tiny", "-j", jobs)
    result = program(*arguments, models=models, cwd=tmp_path)
    err = result.stderr.decode()
    assert result.returncode == 1, err
    assert "Traceback" not in err
    found = said(err)
    assert found["files"] == sum(counts.values()) >= 40
    assert found["done"] == counts["pictures"]
    assert found["failed"] == counts["failed"] == err.count("nicodec: error: ")
    assert found["files"] == found["done"] + found["failed"] + found["left out"]
    assert found["left out"] == sum(found.get(kind, 0) for kind in counts if kind not in ("pictures", "failed"))
    for kind, count in counts.items():
        if kind not in ("pictures", "failed"):
            assert found[kind] == count, kind
    written = {str(path.relative_to(tmp_path / "made" / "out")) for path in (tmp_path / "made").rglob("*.*")}
    assert len(written) == counts["pictures"]
    assert {"DCIM/IMG_1.HEIC.nic", "DCIM/IMG_1.JPG.nic", "DCIM/IMG_1.png.nic", "DCIM/IMG_2.nic"} <= written

    again = program(*arguments, "--skip-existing", "--quiet", models=models, cwd=tmp_path).stderr.decode()
    last = again.splitlines()[-1]
    assert last.startswith(f"nicodec: warning: {found['files']} files: 0 done, {counts['pictures']} skipped")
    assert "3 clips, 4 RAW photographs, 1 .nic file, 5 other files, 3 hidden files" in last
    assert again.count("nicodec: error: ") == counts["failed"]


def test_one_unreadable_folder_does_not_end_the_run(run, place, monkeypatch):
    for name in ("a", "locked/b", "z/c"):
        Path("in", name).parent.mkdir(parents=True, exist_ok=True)
        photograph().save(Path("in", f"{name}.png"))
    scan = os.scandir

    def refusing(path):
        if not isinstance(path, int) and os.path.basename(path) == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr("os.scandir", refusing)
    result = run("compress", "-r", "in", "--codec", "tiny")
    assert result.code == 1
    assert f"nicodec: error: {Path('in/locked')}: the folder cannot be read (Permission denied)" in result.err
    assert result.err.splitlines()[-1] == "2 files: 2 done, 1 folder not read (see above)"
    assert sorted(path.name for path in Path("in").rglob("*.nic")) == ["a.nic", "c.nic"]
    shutil.rmtree("in/z")
    Path("in/a.png").unlink()
    Path("in/a.nic").unlink()
    result = run("compress", "-r", "in", "--codec", "tiny")
    assert (result.code, result.err.count("\n")) == (3, 1)
    assert "the folder cannot be read" in result.err


def test_an_empty_folder_among_others_does_not_end_the_run(run, place):
    Path("empty").mkdir()
    Path("full").mkdir()
    photograph().save("full/a.png")
    result = run("compress", "-r", "empty", "full", "--codec", "tiny")
    assert result.code == 0
    assert result.err.splitlines()[-1] == "1 file: 1 done"


def test_existing_outputs_are_skipped_when_asked(run, place):
    for name in "ab":
        photograph().save(f"{name}.png")
    run("compress", "a.png", "--codec", "tiny")
    before = Path("a.nic").stat().st_mtime_ns
    result = run("compress", "a.png", "b.png", "--codec", "tiny", "--skip-existing")
    assert result.code == 0
    assert result.err.splitlines()[-1] == "2 files: 1 done, 1 skipped (the output exists)"
    assert Path("a.nic").stat().st_mtime_ns == before
    assert run("compress", "a.png", "--codec", "tiny", "--skip-existing").err == "a.png: skipped, a.nic exists\n"
    assert run("decompress", "a.nic", "--skip-existing").err == "a.nic: skipped, a.png exists\n"
    assert run("compress", "a.png", "--codec", "tiny").code == 7


def test_a_file_that_grew_is_told(run, place):
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    Image.fromarray(noise).save("noise.jpg", quality=1)
    run("compress", "noise.jpg", "--codec", "tiny", "--strip", "all", "-q", "100", "-o", "noise.nic")
    Path("noise.nic").write_bytes(b"")
    Image.fromarray(noise).save("noise.jpg", quality=1, subsampling=2, optimize=True)
    result = run("compress", "noise.jpg", "--codec", "tiny", "-q", "100", "--quiet", "-f")
    assert result.code == 0
    assert result.err.startswith("nicodec: warning: noise.nic: is larger than noise.jpg (")
    assert "larger" not in run("decompress", "noise.nic", "-o", "noise.png").err


def test_kinds_do_not_overlap():
    from nicodec.media import CLIP_SUFFIXES, PICTURE_SUFFIXES

    assert not (PICTURES & CLIPS) | (PICTURES & RAW) | (CLIPS & RAW)
    assert set(PICTURE_SUFFIXES) <= PICTURES
    assert set(CLIP_SUFFIXES) <= CLIPS
