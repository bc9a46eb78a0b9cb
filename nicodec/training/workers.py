"""The processes that train together: one, or those of torchrun."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from nicodec.errors import InputError
from nicodec.processor import prefers_bfloat16


@dataclass(frozen=True)
class Workers:
    """A process among those that train together.

    Attributes:
        device: where this one trains.
        rank: its number.
        count: how many there are.
        say: takes lines about what happens; those of the first worker alone.

    """

    device: torch.device
    rank: int = 0
    count: int = 1
    say: Callable[[str], None] = print

    @property
    def leads(self) -> bool:
        """Whether this one reports, saves and ends the training."""
        return self.rank == 0

    @property
    def bfloat16(self) -> bool:
        """Whether the networks run faster in bfloat16 here."""
        return prefers_bfloat16(self.device.type)

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module as it is to be called: its gradients are averaged over the workers.

        With several, all must call this at the same place; the first one's parameters and buffers become everyone's.
        """
        if self.count == 1:
            return module
        for buffer in module.buffers():  # once, here; DistributedDataParallel would do it at every step
            flat = buffer.detach().reshape(-1).contiguous()
            dist.broadcast(flat.view(torch.uint8), 0)  # gloo does not know every type
            buffer.detach().copy_(flat.view_as(buffer))
        devices = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(
            module, device_ids=devices, broadcast_buffers=False, find_unused_parameters=True
        )

    def agree(self, *numbers: float) -> tuple[float, ...]:
        """The first worker's numbers, so that all stop at the same step."""
        if self.count == 1:
            return numbers
        shared = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.broadcast(shared, 0)
        return tuple(shared.tolist())

    def leave(self) -> None:
        """Train no more together; the first worker goes on alone."""
        if self.count > 1 and dist.is_initialized():
            dist.destroy_process_group()


def join_workers(say: Callable[[str], None]) -> Workers:
    """Give this process its place; it joins the others when it was started by torchrun.

    Raises:
        InputError: they cannot be joined.

    """
    cuda = torch.cuda.is_available()
    if "LOCAL_RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Workers(torch.device("cuda", 0) if cuda else torch.device("cpu"), say=say)
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if cuda else "gloo")
    except (RuntimeError, ValueError) as error:
        raise InputError(f"the workers of torchrun cannot be joined ({error}); start them again") from error
    rank = dist.get_rank()
    return Workers(device, rank, dist.get_world_size(), say if rank == 0 else lambda text: None)
