"""Help texts without internals, and commands that are built when they are asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

SETTINGS = {"help_option_names": ["-h", "--help"]}


class PlainCommand(TyperCommand):
    """A command whose help shows no types of Python ("IN <list[str]>"), no braces ("{IN}...") and no ranges."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the line of usage."""
        return [re.sub(r"\{([^{}\n]+)\}", r"\1", piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        _format(self, ctx, formatter)


class PlainGroup(TyperGroup):
    """A group of commands, some of which are made by a function when they are asked for, with their arguments."""

    later: dict[str, Callable[[Sequence[str]], Callable[..., None]]] = {}  # noqa: RUF012 - set once, in main.py
    """By a command's name, what makes its function from the arguments of the command line."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that the first argument names."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in self.later:
            command = command_of(name, self.later[name](rest))
        return name, command, rest

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write options and commands."""
        _format(self, ctx, formatter)
        self.format_commands(ctx, formatter)


def command_of(name: str, function: Callable[..., None]) -> Any:
    """Make a command of a function, as the application does."""
    inner = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=SETTINGS)
    inner.command(name, cls=PlainCommand)(function)
    return typer.main.get_command(inner)


def rows_of(command: Any, ctx: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """Arguments and options of a command: under each title the names and the help of each, as users see them."""
    sections = []
    for title, kind in (("Arguments", "argument"), ("Options", "option")):
        records = [each.get_help_record(ctx) for each in command.get_params(ctx) if each.param_type_name == kind]
        rows = [(_without_type(record[0]), _plain(record[1], kind)) for record in records if record]
        if rows:
            sections.append((title, rows))
    return sections


def _format(command: Any, ctx: Any, formatter: Any) -> None:
    for title, rows in rows_of(command, ctx):
        with formatter.section(title):
            formatter.write_dl(rows)


def _without_type(names: str) -> str:
    return re.sub(r" <[^<>\n]+>$", "", names).strip()


def _plain(text: str, kind: str) -> str:
    """A help text whose last brackets hold the default alone, without Click's own."""
    before, found, extra = text.rpartition("  [")
    if not found or not extra.endswith("]"):
        return text
    kept = []
    for part in extra[:-1].split("; "):
        if (part == "required" and kind == "argument") or re.search(r"x\s*[<>]|[<>]=?\s*x", part):
            continue
        kept.append(re.sub(r"^default: \((.*)\)$", r"default: \1", part))
    return f"{before}  [{'; '.join(kept)}]" if kept else before
