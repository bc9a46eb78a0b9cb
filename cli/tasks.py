"""From the arguments of a command to its tasks: which file becomes which.

Everything that can be told before the first picture is read is told here, before any work is done.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nicodec.errors import InputError, NicodecError, OutputError, OutputExistsError
from nicodec_cli.console import UsageError
from nicodec_cli.folders import Found

STREAM = "-"
"""The argument that stands for standard input and standard output."""

STANDARD_OUTPUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
"""Other names of standard output, which is written to, whatever it leads to."""


@dataclass(frozen=True)
class Task:
    """One input and its output.

    Attributes:
        source: the file to read; None for standard input.
        target: the file to write; None for standard output.
        folder: what a relative source is relative to, where that is not the current folder (on another machine).

    """

    source: Path | None
    target: Path | None
    folder: Path | None = None

    @property
    def source_name(self) -> str:
        """What messages call the input."""
        return "standard input" if self.source is None else str(self.source)

    @property
    def target_name(self) -> str:
        """What messages call the output."""
        return "standard output" if self.target is None else str(self.target)

    @property
    def target_key(self) -> str:
        """The same for two names of one output."""
        return os.path.normcase(os.path.abspath(str(self.target)))

    def target_with_source_suffix(self) -> Path | None:
        """The target with the suffix of the source before its own, once: a.jpg.nic."""
        if self.source is None or self.target is None:
            return self.target
        return self.target.with_name(self.source.name + self.target.suffix)


@dataclass(frozen=True)
class Plan:
    """What a command is to do.

    Attributes:
        tasks: in the order of the arguments, and of the names in each folder.
        found: what lay in the folders that were named.
        make_folders: whether the folders of outputs are made.

    """

    tasks: list[Task]
    found: Found
    make_folders: bool


def plan(
    inputs: list[str],
    output: str | None,
    *,
    suffix: Callable[[Path], str],
    recursive: bool,
    wanted: Callable[[Path], bool],
    kind: str,
) -> Plan:
    """Pair every input with its output.

    Two files of a folder that would get one name (a.jpg and a.png) keep their suffixes in it (a.jpg.nic, a.png.nic).

    Args:
        inputs: files, folders (with `recursive`), or "-" alone.
        output: what -o says: a file (for one input), a folder (with `recursive` it is made), "-", or None for
            "beside the input".
        suffix: gives the suffix, with the dot, of the output that is named after an input.
        recursive: whether folders are searched, subfolders included.
        wanted: which files of a folder are inputs; hidden ones never are.
        kind: what those files are called in messages, in the plural.

    Raises:
        UsageError: the arguments contradict each other, or two inputs would be written to one name.
        InputError: a folder without -r, or folders without any such file.
        OutputError: the folder for the outputs does not exist.

    """
    if output is not None and os.path.abspath(output) in STANDARD_OUTPUT:
        output = STREAM
    found = Found()
    if STREAM in inputs:
        return Plan([Task(None, _stream_target(inputs, output))], found, recursive)
    named: list[tuple[Path, Path]] = []  # each file, and its path below the folder that was named
    for text in inputs:
        path = Path(text)
        if not path.is_dir():
            named.append((path, Path(path.name)))
        elif recursive:
            found.search(path, wanted)
        else:
            raise InputError(f"{text}: is a folder; add -r for the {kind} in it, or name files")
    if not named and not found.files:
        raise InputError(_nothing_found(found, kind))
    files, single = named + found.files, len(inputs) == 1 and not found.folders

    if output == STREAM:
        if not single:
            raise UsageError(f"{len(files)} inputs do not fit on standard output; name a folder with -o")
        return Plan([Task(files[0][0], None)], found, recursive)
    if output is None:
        folder = None
    elif os.path.isdir(output) or (recursive and not single and not os.path.exists(output)):
        folder = Path(output)
    elif output.endswith(("/", os.sep)) or not single:
        if Path(output).exists():
            raise OutputError(f"{output}: is not a folder; name one for the outputs with -o")
        raise OutputError(f"{output}: the folder for the outputs does not exist; create it first: mkdir {output}")
    else:
        return Plan([Task(files[0][0], Path(output))], found, recursive)
    ours = {file for file, _ in found.files}
    tasks = [
        Task(file, (file if folder is None else folder / name).with_suffix(suffix(file))) for file, name in files
    ]
    tasks = _with_suffixes_where_needed(tasks, lambda task: task.source in ours)
    _refuse_collisions(tasks)
    return Plan(tasks, found, recursive)


def _nothing_found(found: Found, kind: str) -> str:
    """What is said of folders that hold nothing to do."""
    if found.unreadable:
        return found.unreadable[0]
    holds = f" but {words}" if (words := found.left_out_words()) else ""
    return f"{', '.join(map(str, found.folders))}: holds no {kind}{holds}; name another folder"


def _with_suffixes_where_needed(tasks: list[Task], may: Callable[[Task], bool]) -> list[Task]:
    """Let tasks whose targets are the same keep the suffix of their source in it, where they `may`."""
    while True:
        count = Counter(task.target_key for task in tasks)
        longer = [
            dataclasses.replace(task, target=task.target_with_source_suffix())
            if count[task.target_key] > 1 and may(task)
            else task
            for task in tasks
        ]
        if longer == tasks:
            return tasks
        tasks = longer


def is_device(path: Path) -> bool:
    """Whether there is something at this path that is neither a file nor a folder: a device or a named pipe."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _stream_target(inputs: list[str], output: str | None) -> Path | None:
    if len(inputs) > 1:
        raise UsageError("standard input (-) was named among other inputs; name it alone")
    if output is None or output == STREAM:
        return None
    if os.path.isdir(output):
        raise UsageError(f"{output}: is a folder, and standard input has no name; name a file with -o")
    return Path(output)


def _refuse_collisions(tasks: list[Task]) -> None:
    sources: dict[str, Task] = {}
    for task in tasks:
        other = sources.setdefault(task.target_key, task)
        if other is task:
            continue
        if other.source == task.source:
            raise UsageError(f"{task.source} is named twice; name it once")
        raise UsageError(
            f"{other.source} and {task.source} would both be written to {task.target}; "
            "do them one at a time, with different names after -o"
        )


def problem_with(task: Task, *, overwrite: bool, make_folders: bool) -> NicodecError | None:
    """Tell what will keep a task from succeeding, as far as that shows without reading its input."""
    source, target = task.source, task.target
    if target is None or (source is not None and not source.exists()):
        return None  # reading the input says it better
    if not target.exists():
        if make_folders or target.parent.is_dir():
            return None
        return OutputError(f"{target}: the folder {target.parent} does not exist; create it first")
    if source is not None and target.is_file() and os.path.samefile(source, target):
        return UsageError(f"{target}: is the input and the output; name another output with -o")
    if not overwrite and target.is_file():
        return OutputExistsError(f"{target}: exists already; overwrite it with -f, or name another with -o")
    return None


def read_input(task: Task) -> bytes:
    """Read the whole input of a task.

    Raises:
        InputError: it is missing, a folder, or cannot be read.
        UsageError: it is standard input, and that is a terminal.

    """
    if task.source is None:
        if sys.stdin.isatty():
            raise UsageError("standard input is a terminal; pipe a file into it, or name one instead of -")
        return sys.stdin.buffer.read()
    return read_file(task.source, task.folder)


def read_file(path: Path, folder: Path | None = None) -> bytes:
    """Read a file; a relative path is relative to `folder`, by default the current one.

    Raises:
        InputError: it is missing, a folder, or cannot be read.

    """
    try:
        return (folder or Path()).joinpath(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; name a file in it") from None
    except PermissionError as error:
        raise InputError(f"{path}: reading is not allowed; change the file's permissions") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{str(path)!r}: cannot be read ({reason}); check the path") from error


def refuse_terminal(tasks: list[Task]) -> None:
    """Raise UsageError where a file's bytes would go to a terminal."""
    if any(task.target is None for task in tasks) and sys.stdout.isatty():
        raise UsageError("standard output is a terminal; redirect it into a file, or name one with -o")


def write_output(task: Task, data: bytes, *, overwrite: bool, make_folders: bool) -> None:
    """Write the output of a task: a file whole or not at all.

    Raises:
        OutputExistsError: the file exists and `overwrite` is not set.
        OutputError: it cannot be written.

    """
    if task.target is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    from nicodec.media import write_atomically

    if make_folders:
        try:
            task.target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{task.target.parent}: cannot be created ({error.strerror})") from error
    write_atomically(task.target, data, overwrite)
