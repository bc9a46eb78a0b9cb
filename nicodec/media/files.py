"""Files that are either written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol, runtime_checkable

from nicodec.errors import OutputError, OutputExistsError

# What writing itself can raise; another OSError from the body of a `with` is its caller's.
_WRITE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE, errno.EROFS, errno.ENXIO}
_STANDARD_STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")


@runtime_checkable
class _Named(Protocol):
    name: Any


def name_of_file(file: object) -> str | None:
    """Give the name that an open file has, or None."""
    return file.name if isinstance(file, _Named) and isinstance(file.name, str) else None


def write_atomically(path: str | os.PathLike[str], data: bytes, overwrite: bool = False) -> None:
    """Write `data` to a file that appears whole or not at all.

    Args:
        path: the target; see `open_atomically` for links, devices and pipes.
        data: the whole content.
        overwrite: whether an existing file may be replaced.

    Raises:
        OutputExistsError: the file exists and `overwrite` is not set.
        OutputError: it cannot be written.

    """
    with open_atomically(path, overwrite=overwrite) as file:
        file.write(data)


@contextlib.contextmanager
def open_atomically(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a binary file that takes its name only when the `with` block ends without an exception.

    Until then the bytes go to a hidden file in the same folder, which is removed on any failure, an interrupt
    included. Permissions are those that `open(path, "wb")` would give: the umask's for a new file, the old
    ones for a replaced file. A symbolic link is followed and stays. A target that is not a regular file, such
    as /dev/null, /dev/stdout or a named pipe, is written in place and never counts as existing.

    Args:
        path: the target.
        overwrite: whether an existing file may be replaced.

    Yields:
        A writable, seekable (except for pipes) binary file.

    Raises:
        OutputExistsError: the file exists and `overwrite` is not set; checked at the start and at the end.
        OutputError: the folder is missing or read-only, the disk is full, or the path names a folder.

    """
    name = os.fsdecode(path)
    try:
        mode = os.stat(name).st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:
        raise _output_error(name, error) from error

    if mode is not None and stat.S_ISDIR(mode):
        raise OutputError(f"{name}: is a folder; name a file in it")
    if mode is not None and (not stat.S_ISREG(mode) or name.startswith(_STANDARD_STREAMS)):
        with _write_errors_of(name), open(name, "wb") as file:
            yield file
        return
    if mode is not None and not overwrite:
        raise _exists_error(name)

    target = os.path.realpath(name)
    partial = os.path.join(os.path.dirname(target), f".nicodec-{secrets.token_hex(8)}.part")
    try:  # from before the file is there: a signal's exception comes right after a system call
        try:
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
            if sys.platform == "win32":
                flags |= os.O_BINARY
            descriptor = os.open(partial, flags, 0o666)
        except OSError as error:
            raise _output_error(name, error) from error
        with _write_errors_of(name), os.fdopen(descriptor, "w+b") as file:
            yield file
        try:
            if mode is not None:
                os.chmod(partial, stat.S_IMODE(mode))
            _give_name(partial, target, overwrite)
        except FileExistsError as error:
            raise _exists_error(name) from error
        except OSError as error:
            raise _output_error(name, error) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(partial)


def _give_name(partial: str, target: str, overwrite: bool) -> None:
    """Move the finished file to its name; a file that appeared there meanwhile raises FileExistsError."""
    if overwrite:
        os.replace(partial, target)
        return
    try:
        os.link(partial, target)  # unlike a rename, this never replaces
    except FileExistsError:
        raise
    except (OSError, NotImplementedError, AttributeError):  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        os.replace(partial, target)


@contextlib.contextmanager
def _write_errors_of(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _WRITE_ERRORS and error.filename != name:
            raise
        raise _output_error(name, error) from error


def _exists_error(name: str) -> OutputExistsError:
    return OutputExistsError(f"{name}: exists already; choose another name, or ask for it to be overwritten")


def _output_error(name: str, error: Exception) -> OutputError:
    folder = os.path.dirname(name) or "."
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.ENOENT and not os.path.isdir(folder):
        return OutputError(f"{name!r}: the folder {folder} does not exist; create it first")
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{name}: writing is not allowed there; choose a folder that you may write to")
    if code in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"{name}: no space is left on the disk; free some, or choose another folder")
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return OutputError(f"{name!r}: cannot be written ({reason}); choose another name or folder")
