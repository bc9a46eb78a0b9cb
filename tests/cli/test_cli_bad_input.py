"""Every bad input: one line on standard error that says what to do, its exit code, and no file left or changed."""

import os
import zlib
from pathlib import Path

import pytest

from tests.cli.cli_helpers import encoded, photograph


def sealed(data):
    """Put the right checksum at the end of an altered file."""
    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


def huge(nic):
    """The file with a header that claims 10^5 x 10^5 pixels."""
    width, height = b"\x40", b"\x30"  # 64 and 48 as varints
    assert nic[9:11] == width + height
    return sealed(nic[:9] + b"\xa0\x8d\x06" * 2 + nic[11:])


@pytest.fixture
def files(place, nic):
    """A folder with good and bad files."""
    picture = encoded(photograph())
    contents = {
        "good.png": picture,
        "good.nic": nic,
        "good.jpg": encoded(photograph(), "JPEG"),
        "text.png": b"not a picture",
        "text.txt": b"text",
        "void.png": b"",
        "half.png": picture[: len(picture) // 2],
        "empty.nic": b"",
        "cut.nic": nic[:-7],
        "short.nic": nic[:6],
        "altered.nic": nic[:20] + bytes([nic[20] ^ 1]) + nic[21:],
        "misread.nic": sealed(nic[:17] + bytes([nic[17] ^ 255]) + nic[18:]),
        "future.nic": sealed(nic[:4] + b"\xf0" + nic[5:]),
        "foreign.nic": sealed(nic[:5] + b"\1\2\3\4" + nic[9:]),
        "huge.nic": huge(nic),
        "nothing/readme.txt": b"no pictures here",
        "pictures/a.png": picture,
        "same/a.png": picture,
        "same/a.jpg": encoded(photograph(), "JPEG"),
        "taken.nic": nic,
        "taken.png": picture,
    }
    for name, content in contents.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(content)
    return place


def snapshot(folder):
    return {p: p.read_bytes() if p.is_file() else None for p in Path(folder).rglob("*")}


COMPRESS = [
    (["text.png"], 3, "text.png: not a picture"),
    (["void.png"], 3, "void.png: empty"),
    (["half.png"], 3, "half.png: broken or cut short"),
    (["missing.png"], 3, "missing.png: no such file; check the path"),
    (["pictures"], 3, "add -r"),
    (["-r", "nothing"], 3, "nothing: holds no pictures or clips but 1 other file; name another folder"),
    (["good.png", "-o", "missing/x.nic"], 1, "the folder missing does not exist; create it first"),
    (["good.png", "-o", "missing/"], 1, "create it first: mkdir missing/"),
    (["good.png", "good.jpg", "-o", "missing"], 1, "create it first"),
    (["good.png", "good.jpg"], 2, "good.png and good.jpg would both be written to good.nic"),
    (["good.png", "good.png"], 2, "named twice"),
    (["same/a.png", "same/a.jpg", "-o", "pictures"], 2, "would both be written to"),
    (["good.png", "--skip-existing", "-f"], 2, "--skip-existing and --force contradict each other"),
    (["good.png", "-o", "text.txt", "-r", "pictures"], 1, "is not a folder"),
    (["taken.png"], 7, "taken.nic: exists already; overwrite it with -f"),
    (["good.nic"], 2, "cannot be compressed"),
    (["good.png", "new.nic"], 2, "name the output with -o new.nic"),
    (["good.png", "-o", "new.jpg"], 2, "end in .nic"),
    (["good.png", "-fo", "text.txt/"], 1, "is not a folder"),
    (["good.png", "good.jpg", "-o", "-"], 2, "2 inputs do not fit on standard output"),
    (["-", "good.png"], 2, "name it alone"),
    (["-", "-o", "pictures"], 2, "is a folder"),
    (["good.png", "-o", "x.nic", "-q", "101"], 2, "-q 101: give a number from 0 (small) to 100 (best)"),
    (["good.png", "-o", "x.nic", "-q", "nan"], 2, "-q nan: give a number from 0"),
    (["good.png", "-o", "x.nic", "-q", "high"], 2, "'--quality' / '-q'"),
    (["good.png", "-o", "x.nic", "-q", "50", "--bpp", "1"], 2, "-q and --bpp contradict each other"),
    (["good.png", "-o", "x.nic", "--bpp", "-1"], 2, "above 0"),
    (["good.png", "-o", "x.nic", "--size", "12 parsecs"], 2, "not a size"),
    (["good.png", "-o", "x.nic", "--size", "10"], 2, "good.png: 10 bytes cannot be reached"),
    (["good.png", "-o", "x.nic", "--psnr", "200"], 2, "cannot be reached"),
    (["good.png", "-o", "x.nic", "--strip", "alpha"], 2, "alpha"),
    (["good.png", "-o", "x.nic", "--max-pixels", "100"], 5, "--max-pixels N"),
    (["good.png", "-o", "x.nic", "--device", "abacus"], 2, "device 'abacus' cannot be used here"),
    (["good.png", "-o", "x.nic", "--codec", "huge"], 6, "no model 'huge'"),
    ([], 2, "Missing argument 'IN'"),
    (["--sise", "3"], 2, "No such option: --sise"),
]

DECOMPRESS = [
    (["empty.nic"], 4, "empty.nic: the file is empty"),
    (["cut.nic"], 4, "cut.nic: "),
    (["short.nic"], 4, "cut short"),
    (["altered.nic"], 4, "altered"),
    (["misread.nic"], 4, "misread.nic: "),
    (["future.nic"], 4, "install a newer nicodec"),
    (["foreign.nic"], 6, "foreign.nic: model 01020304 is not installed"),
    (["huge.nic"], 5, "--max-pixels N"),
    (["good.png", "-o", "x.png"], 4, "this is another format"),
    (["missing.nic"], 3, "missing.nic: no such file; check the path"),
    (["nothing"], 3, "add -r"),
    (["-r", "nothing"], 3, "nothing: holds no .nic files"),
    (["good.nic"], 7, "good.png: exists already; overwrite it with -f"),
    (["good.nic", "new.png"], 2, "name it with -o new.png"),
    (["good.nic", "-o", "new"], 2, "give a name such as new.png"),
    (["good.nic", "-o", "new.gif"], 2, ".gif pictures cannot be written"),
    (["good.nic", "-fo", "good.nic", "--format", "png"], 2, "is the input and the output"),
    (["good.nic", "--format", "gif"], 2, "--format gif: cannot be written"),
    (["good.nic", "-o", "missing/x.png"], 1, "create it first"),
    (["good.nic", "-o", "x.png", "--max-pixels", "100"], 5, "--max-pixels N"),
]


@pytest.mark.parametrize(
    ("command", "arguments", "code", "message"),
    [("compress", *case) for case in COMPRESS] + [("decompress", *case) for case in DECOMPRESS],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_gives_one_line_and_its_exit_code(run, files, command, arguments, code, message):
    before = snapshot(files)
    if command == "compress" and "--codec" not in arguments:
        arguments = ["--codec", "tiny", *arguments]
    result = run(command, *arguments)
    assert result.err.startswith("nicodec: error: ")
    assert result.err.count("\n") == 1
    assert message in result.err
    assert result.code == code
    assert result.out == b""
    assert snapshot(files) == before


@pytest.mark.parametrize(
    ("name", "code"),
    [("empty.nic", 4), ("cut.nic", 4), ("altered.nic", 4), ("good.png", 4), ("missing.nic", 3), ("nothing", 3)],
)
def test_info_tells_bad_files(run, files, name, code):
    result = run("info", name)
    assert (result.code, result.out) == (code, b"")
    assert result.err.startswith(f"nicodec: error: {name}: ")
    assert result.err.count("\n") == 1


def test_info_goes_on_after_a_bad_file(run, files):
    result = run("info", "cut.nic", "good.nic", "missing.nic")
    assert result.code == 1
    assert b"64x48" in result.out
    assert result.err.count("error") == 2


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is read-only to this user")
def test_a_read_only_folder_is_told(run, files):
    Path("locked").mkdir(mode=0o555)
    result = run("compress", "good.png", "-o", "locked/x.nic", "--codec", "tiny")
    assert result.code == 1
    assert "writing is not allowed there" in result.err


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder in which nobody may write")
def test_a_folder_that_takes_no_files_is_told(run, files):
    result = run("compress", "good.png", "-o", "/proc/x.nic", "--codec", "tiny")
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert "/proc/x.nic" in result.err


def test_a_target_that_cannot_be_written_is_told(run, files):
    Path("target.nic").mkdir()
    Path("target.nic/x.nic").mkdir()
    result = run("compress", "good.png", "-fo", "target.nic/x.nic/", "--codec", "tiny")
    assert result.code == 0  # a folder: the name is the input's
    Path("good.nic").unlink()
    Path("good.nic").mkdir()
    result = run("compress", "good.png", "-f", "--codec", "tiny")
    assert result.code == 1
    assert "good.nic: is a folder" in result.err


def test_unknown_commands_and_no_command_are_usage_errors(run):
    result = run("comprss")
    assert result.code == 2
    assert "Did you mean 'compress'" in result.err
    result = run()
    assert result.code == 2
    assert "Usage: nicodec" in result.err


def test_errors_of_the_library_never_show_a_traceback(run, place):
    result = run("train", "missing.toml", "--data", ".", "--out", "out")
    assert result.code in (1, 3)
    assert "Traceback" not in result.err
