"""Write the manual page `docs/nicodec.1` from the help texts of the command line.

    python docs/man.py

The installation puts it into share/man/man1, where `man nicodec` finds it. A test holds it to the help texts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

import nicodec
from nicodec.errors import InputError, LimitError, OutputExistsError, QualityError, StreamError, UnknownModelError
from nicodec_cli.main import Commands, app
from nicodec_cli.plain_help import command_of, rows_of

PAGE = Path(__file__).with_name("nicodec.1")
EXIT_CODES = (
    (0, "Done."),
    (1, "Failed, or several files failed for different causes."),
    (QualityError.exit_code, "An option or a value is not allowed."),
    (InputError.exit_code, "The input is not a picture, or cannot be read."),
    (StreamError.exit_code, "The .nic file is broken."),
    (LimitError.exit_code, "The picture is larger than the limit."),
    (UnknownModelError.exit_code, "The model is not installed."),
    (OutputExistsError.exit_code, "The output exists, and \\-f was not given."),
)


def page() -> str:
    """The manual page in roff."""
    group = typer.main.get_command(app)
    with group.make_context("nicodec", [], resilient_parsing=True) as top:
        lines = [
            f'.TH NICODEC 1 "" "nicodec {nicodec.__version__}" "User Commands"',
            ".SH NAME",
            "nicodec \\- compress photographs and clips with a learned codec",
            ".SH SYNOPSIS",
            ".B nicodec",
            "\\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]",
            ".SH DESCRIPTION",
            _text(group.help),
            ".SH OPTIONS",
            *_rows(group, top),
            ".SH COMMANDS",
        ]
        for name in group.list_commands(top):
            command = group.get_command(top, name)
            if name in Commands.later:
                # Told of no flag of its own, `compress` shows those of all families.
                command = command_of(name, Commands.later[name](["--help"]))
            with command.make_context(name, [], parent=top, resilient_parsing=True) as context:
                usage = " ".join(command.collect_usage_pieces(context))
                lines += [f".SS nicodec {name} {_escaped(usage)}", _text(command.help), *_rows(command, context)]
    lines += [".SH EXIT STATUS"]
    for code, meaning in EXIT_CODES:
        lines += [".TP", f".B {code}", meaning]
    lines += [
        ".SH ENVIRONMENT",
        ".TP",
        ".B NICODEC_MODELS",
        "Folders of model folders, separated as in PATH, whose models are found by name.",
        ".SH EXAMPLES",
        ".nf",
        "nicodec compress photo.jpg",
        "nicodec compress \\-r photos \\-o small \\-\\-skip\\-existing \\-j 0",
        "nicodec decompress photo.nic \\-o photo.png",
        ".fi",
    ]
    return "\n".join(lines) + "\n"


def _rows(command: Any, context: Any) -> list[str]:
    return [
        line
        for _, rows in rows_of(command, context)
        for names, text in rows
        for line in (".TP", f".B {_escaped(names)}", _escaped(text.strip()))
    ]


def _text(text: str | None) -> str:
    """A docstring as paragraphs."""
    paragraphs = (" ".join(each.split()) for each in (text or "").strip().split("\n\n"))
    return "\n.PP\n".join(map(_escaped, paragraphs))


def _escaped(text: str) -> str:
    """A text in one line of roff."""
    text = " ".join(text.replace("\\", "\\e").replace("-", "\\-").split())
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
