"""Help texts: nothing of Python or Click in them, 80 columns; completion; the manual page is that of these texts."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ["compress", "decompress", "info", "play", "models", "train", "demo", "eval", "bench"]


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_is_for_people(run, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    if command in ("eval", "bench"):
        pytest.importorskip("matplotlib")
    result = run(*filter(None, [command]), "--help")
    text = result.out.decode()
    assert result.code == 0
    assert not re.search(r"[{}<>]|\(\d+\)|list\[|x>=|\[required\]\n\nOptions", text), text
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith(f"Usage: nicodec {f'{command} ' if command else ''}[OPTIONS]")


def test_sizes_are_bytes(run):
    for command in COMMANDS[:-2]:
        for line in run(command, "--help").out.decode().splitlines():
            assert "size" not in line.lower() or "--size" in line or "same size" in line, line


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("nicodec com", "compress"),
        ("nicodec compress --s", "--skip-existing"),
        ("nicodec compress --effort 9 --gau", "--gaussians"),
        ("nicodec decompress --for", "--format"),
    ],
)
def test_the_shell_completes(place, capsys, monkeypatch, words, found):
    from nicodec_cli.main import run

    monkeypatch.setenv("_NICODEC_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    with pytest.raises(SystemExit):
        run([])
    assert found in capsys.readouterr().out.split()


@pytest.mark.skipif(not (ROOT / "docs" / "man.py").is_file(), reason="the tests stand apart from the checkout")
def test_the_manual_page_is_that_of_the_help_texts(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("COLUMNS", "80")
    spec = importlib.util.spec_from_file_location("man", ROOT / "docs" / "man.py")
    man = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(man)
    assert man.PAGE.read_text("utf-8") == man.page(), "run: python docs/man.py"
