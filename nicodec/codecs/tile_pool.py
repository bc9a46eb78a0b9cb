"""Several tiles of a picture, or frames of a clip, at once, each in a thread of its own.

A tile is computed in one thread, however many tiles there are at once: sums of floats depend on how threads share
them, and what is written must not depend on the machine's cores.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch

from nicodec.memory import release_freed_memory
from nicodec.threads import TILES_AT_ONCE, tiles_asked

Item = TypeVar("Item")
Result = TypeVar("Result")


class _OneThreadEach:
    """Lets torch compute in one thread in each thread of a pool; the last pool puts back what was.

    What a thread sets holds for its own loops, and for matrix products of all threads.
    """

    def __init__(self) -> None:
        self._lock, self._users, self._before = threading.Lock(), 0, 1

    def enter(self) -> None:
        with self._lock:
            if not self._users:
                self._before = torch.get_num_threads()
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                torch.set_num_threads(self._before)


_one_thread_each = _OneThreadEach()


class TilePool:
    """Does work on tiles, several at once, in the arithmetic of the thread that makes it (inference, autocast).

    On devices other than the CPU, tiles come one after another in the thread that asks, and so does a tile that is
    `alone`, which is shared by all threads.

    Attributes:
        at_once: how many.

    """

    def __init__(self, device: torch.device, *, alone: bool = False, keeps_memory: bool = False) -> None:
        """`keeps_memory`: what is freed is soon needed again."""
        self._keeps_memory = keeps_memory
        self._executor: ThreadPoolExecutor | None = None
        self._pools = device.type == "cpu" and not alone
        self.at_once = 1
        if self._pools:
            self.at_once = tiles_asked() or min(torch.get_num_threads(), TILES_AT_ONCE)
        self._device = device
        self._inference = torch.is_inference_mode_enabled()
        self._short = torch.is_autocast_enabled(device.type)
        self._type = torch.get_autocast_dtype(device.type)

    def __enter__(self) -> TilePool:
        if not self._keeps_memory:
            release_freed_memory()
        if self._pools:
            _one_thread_each.enter()
            self._executor = ThreadPoolExecutor(
                self.at_once, "tile", initializer=torch.set_num_threads, initargs=(1,)
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            _one_thread_each.leave()
            if not self._keeps_memory:
                release_freed_memory()

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """What work gives of each item, in order; what it raises is raised here."""
        if self._executor is None:
            return map(work, items)

        def there(item: Item) -> Result:
            short = torch.autocast(self._device.type, self._type, enabled=self._short)
            with torch.inference_mode(self._inference), short:
                return work(item)

        return self._executor.map(there, items)
