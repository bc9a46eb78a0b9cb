"""The bar: it appears on a terminal after a while, counts pixels, and tells names, percent and time left."""

import io
import sys
import time
from pathlib import Path

import pytest

from nicodec_cli import progress
from nicodec_cli.tasks import Task
from tests.cli.cli_helpers import photograph


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(progress, "DELAY", 0.0)

    def standard_error():  # pytest sets its own when a test begins
        monkeypatch.setattr("sys.stderr", Terminal())
        return sys.stderr

    return standard_error


def until(terminal, text):
    """Wait until a text is on the terminal."""
    deadline = time.monotonic() + 20
    while text not in terminal.getvalue() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert text in terminal.getvalue()


def test_a_folder_is_measured_by_pixels(terminal):
    terminal = terminal()
    tasks = [Task(Path(f"{name}.png"), None) for name in ("small", "large")]
    with progress.Bar(tasks, lambda task: 100 if task is tasks[0] else 300, shown=True) as bar:
        tell = bar.teller(tasks[0])
        until(terminal, "small.png")
        tell(1.0)
        bar.finish(tasks[0])
        until(terminal, " 25%")
        bar.teller(tasks[1])(0.5, "refined")
        until(terminal, "1 of 2 refined")
        until(terminal, " 62%")
        until(terminal, " left")


def test_unknown_pixels_and_long_names_do_no_harm(terminal):
    terminal = terminal()
    tasks = [Task(Path(f"{'long' * 20}{number}.png"), None) for number in range(3)]
    with progress.Bar(tasks, lambda task: None, shown=True) as bar:
        bar.teller(tasks[2])
        until(terminal, "longlonglong2.png")
        for task in tasks:
            bar.finish(task)
        until(terminal, "100%")


def test_short_work_and_files_show_nothing(terminal, monkeypatch):
    terminal = terminal()
    monkeypatch.setattr(progress, "DELAY", 60.0)
    task = Task(Path("a.png"), None)
    with progress.Bar([task], lambda task: None, shown=True) as bar:
        bar.teller(task)(0.5)
    with progress.Bar([task], lambda task: None, shown=False) as bar:
        bar.teller(task)(0.5)
    assert terminal.getvalue() == ""


def test_pixels_are_read_from_heads(tmp_path, nic, monkeypatch):
    from nicodec import media
    from nicodec_cli.decompress import _pixels

    photograph(64, 48).save(tmp_path / "a.png")
    (tmp_path / "bad.png").write_bytes(b"bad")
    (tmp_path / "a.nic").write_bytes(nic)
    assert media.pixel_count(tmp_path / "a.png") == _pixels(Task(tmp_path / "a.nic", None)) == 64 * 48
    assert media.pixel_count(tmp_path / "bad.png") is media.pixel_count(tmp_path / "none.png") is None
    assert _pixels(Task(tmp_path / "bad.png", None)) is _pixels(Task(None, None)) is None
