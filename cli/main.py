"""The `nicodec` command: its application, its exit codes, and what it says when something is wrong.

Nothing here or at the top of a command's module imports torch, numpy, Pillow or rich, so that `--help` is
quick.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Annotated, NoReturn

import typer

import nicodec
from nicodec.threads import wait_passively
from nicodec_cli import console
from nicodec_cli.corrupt import corrupt
from nicodec_cli.decompress import decompress
from nicodec_cli.demo import demo
from nicodec_cli.info import info
from nicodec_cli.models import models
from nicodec_cli.plain_help import SETTINGS, PlainCommand, PlainGroup
from nicodec_cli.play import play
from nicodec_cli.train import train
from nicodec_cli.truncate import truncate

# ClickException, under whatever name this Typer keeps it; it is raised for every error of usage.
_ClickError: type[Exception] = typer.BadParameter.__mro__[2]


def _compress(arguments: Sequence[str]) -> Callable[..., None]:
    from nicodec_cli.compress import compress
    from nicodec_cli.family_options import with_flags_for

    return with_flags_for(compress, arguments)


def _evaluate(arguments: Sequence[str]) -> Callable[..., None]:
    try:
        from nicodec_cli.evaluate import evaluate
    except ModuleNotFoundError as error:
        raise console.missing_package(error.name or str(error), "eval") from error
    return evaluate


def _bench(arguments: Sequence[str]) -> Callable[..., None]:
    try:
        from nicodec_cli.bench import bench
    except ModuleNotFoundError as error:
        raise console.missing_package(error.name or str(error), "eval") from error
    return bench


class Commands(PlainGroup):
    """The commands of nicodec."""

    later = {"compress": _compress, "eval": _evaluate, "bench": _bench}  # noqa: RUF012 - see `PlainGroup`


# rich_markup_mode: importing and drawing rich would take longer than all else that `--help` does.
app = typer.Typer(
    name="nicodec",
    cls=Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    context_settings=SETTINGS,
    epilog="`nicodec COMMAND --help` says more. Exit codes: 0 done, 1 failed, 2 usage, 3 not a picture, "
    "4 broken .nic file, 5 too large, 6 model not installed, 7 output exists.",
)


@app.callback(invoke_without_command=True)
def nicodec_command(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the versions and stop.", is_eager=True)
    ] = False,
) -> None:
    """Compress photographs into small .nic files with a learned codec, and turn them back into pictures."""
    if version:
        typer.echo(_versions())
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def _versions() -> str:
    from importlib import metadata

    from nicodec.container.format import VERSION

    try:
        torch = metadata.version("torch")  # without importing it
    except metadata.PackageNotFoundError:
        torch = "missing"
    return f"nicodec {nicodec.__version__} (file format {VERSION}, torch {torch})"


@app.command("compress")
def compress_later() -> None:
    """Compress pictures, or clips, into .nic files."""


app.command(cls=PlainCommand)(decompress)
app.command(cls=PlainCommand)(truncate)
app.command(cls=PlainCommand)(info)
app.command(cls=PlainCommand)(play)
app.command(cls=PlainCommand)(corrupt)
app.command(cls=PlainCommand)(models)
app.command(cls=PlainCommand)(train)
app.command(cls=PlainCommand)(demo)


@app.command("eval")
def evaluate_later() -> None:
    """Measure codecs on a set of pictures."""


@app.command("bench")
def bench_later() -> None:
    """Compare parts of codecs: quantisers."""


def run(arguments: list[str]) -> int:
    """Run the command line `arguments` (without the program's name) and return its exit code.

    Errors of nicodec and of the system become one line on standard error; any other exception is a bug and is
    left alone.
    """
    try:
        return app(args=arguments, prog_name="nicodec", standalone_mode=False) or 0
    except _ClickError as error:
        return _usage_error(error)
    except nicodec.errors.NicodecError as error:
        console.error(console.message_of(error))
        return error.exit_code
    except typer.Abort:
        console.error("stopped")
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        console.error(console.message_of(error))
        return 1


def _usage_error(error: Exception) -> int:
    """Say a Click exception in one line and return its exit code."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "nicodec"
    message = error.format_message().rstrip(".")  # type: ignore[attr-defined]
    console.error(f"{message}; `{command} --help` shows what there is")
    return error.exit_code  # type: ignore[attr-defined]


def _stop(number: int, frame: object) -> NoReturn:
    """Leave through every `finally`, so that unfinished files and child processes go too."""
    raise SystemExit(128 + number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; in the middle of an import a moment later, when the import may be done.

    Torch's C++ code, which calls Python while it is imported, would abort the process; and an interrupt within
    `exec`, which dataclasses use, changes the exit code even where it is handled (`unhandled_keyboard_interrupt` of
    CPython).
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            later = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
            later.daemon = True
            later.start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def main() -> None:
    """Run the `nicodec` command and exit."""
    console.open_closed_streams()
    console.write_what_the_terminal_can()
    wait_passively()
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as with nohup
        signal.signal(signal.SIGINT, _interrupt)
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader had enough; the interpreter must not complain of it on leaving
        console.silence_stdout()
        code = code or 1
    if code == 130:
        console.say("nicodec: interrupted")
    sys.exit(code)


if __name__ == "__main__":
    main()
