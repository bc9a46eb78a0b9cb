"""Standard streams that are closed, devices, pipes, and what a terminal cannot show: the real program."""

import io
import os
import subprocess
import sys

import pytest

from nicodec_cli import console
from tests.cli.cli_helpers import encoded, photograph, program

pytestmark = pytest.mark.skipif(os.name == "nt", reason="descriptors and devices are of another kind there")


def shell(line, models, folder):
    """Run a line of the shell in which `nicodec` is the real program."""
    nicodec = f'nicodec() {{ "{sys.executable}" -m nicodec_cli "$@"; }}\n'
    return subprocess.run(
        ["sh", "-c", nicodec + line],
        env={**os.environ, "NICODEC_MODELS": str(models)},
        cwd=folder,
        capture_output=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def folder(tmp_path, nic):
    (tmp_path / "x.nic").write_bytes(nic)
    (tmp_path / "y.nic").write_bytes(nic)
    (tmp_path / "photo.png").write_bytes(encoded(photograph()))
    return tmp_path


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-"])
def test_a_picture_on_standard_output_is_whole_and_alone_whatever_else_is_closed(models, folder, closed):
    good = shell("nicodec decompress x.nic -o -", models, folder)
    result = shell(f"nicodec decompress x.nic -o - {closed}", models, folder)
    assert (result.returncode, result.stdout) == (0, good.stdout)
    assert good.stdout.startswith(b"\x89PNG")
    assert good.stdout.endswith(b"IEND\xaeB`\x82")


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("info x.nic", 0),
        ("decompress -r . -fj 2", 0),
        ("info -", 4),
    ],
)
def test_closed_streams_are_the_null_device(models, folder, closed, command, code):
    source = "" if "<&-" in closed else "</dev/null"
    result = shell(f"nicodec {command} {source} {closed}", models, folder)
    assert result.returncode == code
    assert b"Traceback" not in result.stderr
    if command.startswith("decompress"):
        assert (folder / "x.png").read_bytes().endswith(b"IEND\xaeB`\x82")


@pytest.mark.parametrize(
    ("name", "to"), [("/dev/stdout", "> out.png"), ("/dev/stdout", "| cat > out.png"), ("/dev/fd/1", ">> out.png")]
)
def test_standard_output_may_be_named_as_a_device(models, folder, name, to):
    result = shell(f"nicodec decompress x.nic -o {name} {to}", models, folder)
    assert result.returncode == 0, result.stderr
    assert (folder / "out.png").read_bytes() == shell("nicodec decompress x.nic -o -", models, folder).stdout


def test_devices_and_pipes_that_exist_are_written(models, folder):
    assert (
        program("compress", "photo.png", "--codec", "tiny", "-o", "/dev/null", models=models, cwd=folder).returncode
        == 0
    )
    assert program("decompress", "x.nic", "-o", "/dev/null", models=models, cwd=folder).returncode == 0
    piped = shell("mkfifo p; cat p > got & nicodec decompress x.nic -o p; wait", models, folder)
    assert piped.returncode == 0
    assert (folder / "got").read_bytes().startswith(b"\x89PNG")


def test_only_files_of_a_folder_are_taken(models, folder):
    os.mkfifo(folder / "pipe.png")
    (folder / "away.png").symlink_to("nowhere.png")
    (folder / "linked.png").symlink_to("photo.png")
    result = program("compress", "-r", ".", "-o", ".", "--codec", "tiny", models=models, cwd=folder)
    assert result.returncode == 1
    assert b"away.png: no such file" in result.stderr
    assert b"  1 pipe or device" in result.stderr
    assert (folder / "linked.nic").read_bytes() == (folder / "photo.nic").read_bytes()


def test_characters_that_the_terminal_lacks_are_written_in_others(monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", terminal)
    console.write_what_the_terminal_can()
    print("größer – 2×3 …")
    terminal.flush()
    assert terminal.buffer.getvalue() == b"gr\\xf6\\xdfer - 2x3 ...\n"


def test_help_shows_no_types_of_the_program(models):
    for command in ("compress", "decompress", "info", "train", "demo", "eval"):
        text = program(command, "--help", models=models).stdout.decode()
        assert "Usage: nicodec" in text
        assert "list[" not in text
        assert "<" not in text.partition("Options:")[0]
        assert "{" not in text.splitlines()[0]
