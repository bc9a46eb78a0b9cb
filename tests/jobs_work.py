"""Tasks for the tests of `nicodec.jobs`, in a module that worker processes can import."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path


class Bug(Exception):
    """An exception that does not survive pickling."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def square(number: int) -> int:
    return number * number


def place(number: int) -> tuple[int, str | None, str | None]:
    """Where a task runs, and how its libraries' threads are set."""
    return os.getpid(), os.environ.get("OMP_NUM_THREADS"), os.environ.get("OMP_WAIT_POLICY")


def die_at_three(number: int) -> int:
    time.sleep(0.05)
    if number == 3:
        os._exit(9)
    return number


def die_once(task: tuple[str, int]) -> int:
    """Kill the own process at number 3, the first time that any process comes here."""
    mark, number = task
    if number == 3 and not Path(mark).exists():
        Path(mark).touch()
        os._exit(9)
    return number


def divide(number: int) -> float:
    return 1 / (number - 4)


def bug(number: int) -> int:
    if number == 2:
        raise Bug(1, 2)
    return number


def sleep(folder: str) -> None:
    """Leave a file named by this process, and stay."""
    Path(folder, str(os.getpid())).touch()
    threading.Event().wait(100)
