"""What the commands say on standard error, and the words that they use for sizes."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterable, Sequence

from nicodec.errors import LimitError, NicodecError, OutputExistsError


class UsageError(NicodecError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class MissingPackageError(NicodecError):
    """A package of one of nicodec's extras is not installed."""


def missing_package(module: str, extra: str) -> MissingPackageError:
    """Return the error for a module that the extra `extra` would have brought."""
    return MissingPackageError(
        f"{module} is not installed; install nicodec with its extra: pip install '.[{extra}]' in its folder"
    )


def say(text: str) -> None:
    """Print a line on standard error."""
    print(text, file=sys.stderr, flush=True)


def error(message: str) -> None:
    """Print an error on standard error, in one line."""
    say(f"nicodec: error: {_one_line(message)}")


def warning(message: str) -> None:
    """Print a warning on standard error, in one line."""
    say(f"nicodec: warning: {_one_line(message)}")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def message_of(error: BaseException, name: str | None = None) -> str:
    """Word an exception of nicodec or of the system for the user.

    Args:
        error: the exception.
        name: the file that it is about, put in front where the message does not name it.

    """
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
        if error.filename is not None:
            text = f"{os.fsdecode(error.filename)}: {text}"
    else:
        text = str(error) or type(error).__name__
    if name is not None and name not in text:
        text = f"{name}: {text.removeprefix('bytes: ')}"
    if isinstance(error, LimitError) and ("limit of" in text or "limit is" in text):
        text += " (--max-pixels N, 0 for no limit)"
    if isinstance(error, OutputExistsError) and "-f" not in text:
        text += " (-f)"
    return text


def bytes_text(count: int) -> str:
    """Give a number of bytes in decimal units: "812 B", "24.1 kB", "3.62 MB"."""
    if count < 1000:
        return f"{count} B"
    power = 1 + (count >= 999_500) + (count >= 999_500_000)
    value = count / 1000**power
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {('kB', 'MB', 'GB')[power - 1]}"


def ratio_text(before: int, after: int) -> str:
    """Give how many times smaller `after` bytes are than `before`: "12.3x"."""
    ratio = before / max(after, 1)
    return f"{ratio:.{2 if ratio < 10 else 1 if ratio < 100 else 0}f}x"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lay out rows as lines of text; the first column is left-aligned, the others right-aligned."""
    cells = [list(head), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def open_closed_streams() -> None:
    """Let the null device stand for standard streams that were closed by whoever started this process.

    Else the next file that is opened takes their number, and what is meant for it and for them gets mixed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, and that is this one
            os.set_inheritable(number, True)
    sys.stdin = sys.stdin or os.fdopen(0, "r", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def write_what_the_terminal_can() -> None:
    """Write characters that the encoding of standard output lacks in plainer ones, or as escapes."""
    codecs.register_error("nicodec.plainer", _plainer)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="nicodec.plainer")


_PLAINER = {"–": "-", "−": "-", "×": "x", "…": "...", "→": "->", "≥": ">=", "’": "'", "“": '"', "”": '"'}


def _plainer(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeEncodeError) and error.object[error.start] in _PLAINER:
        return _PLAINER[error.object[error.start]], error.start + 1
    return codecs.backslashreplace_errors(error)


def silence_stdout() -> None:
    """Point standard output at nothing, so that what it still buffers is not written at the end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
