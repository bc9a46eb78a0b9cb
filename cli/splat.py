"""Options of the codec that fits Gaussians, and what it shows while it fits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nicodec_cli.console import UsageError, progress_line
from nicodec_cli.tasks import Task

if TYPE_CHECKING:
    from nicodec.splat.fitting import Progress
    from nicodec.splat.gaussians import Gaussians

NAME = "splat"

Count = Annotated[
    int | None,
    typer.Option("--gaussians", min=1, metavar="N", help="splat: how many Gaussians, instead of -q."),
]
Seconds = Annotated[
    float | None, typer.Option("--seconds", min=0.1, metavar="S", help="splat: fit for S seconds at most.")
]
Iterations = Annotated[
    int | None,
    typer.Option("--iterations", min=1, metavar="N", help="splat: steps of the fit.", show_default="300"),
]
Preview = Annotated[
    Path | None,
    typer.Option("--preview", metavar="DIR", help="splat: write the picture as it grows, a PNG every 10 steps."),
]


@dataclass(frozen=True)
class FitRequest:
    """What the options ask of a fit.

    Attributes:
        gaussians: how many; None for what the quality asks for.
        seconds: most seconds of a fit.
        iterations: most steps of a fit.
        preview: folder for pictures of the fit.

    """

    gaussians: int | None = None
    seconds: float | None = None
    iterations: int | None = None
    preview: Path | None = None

    def check(self, codec: str) -> None:
        """Raise UsageError where options of a fit are given with a codec that does not fit."""
        given = {"--gaussians": self.gaussians, "--seconds": self.seconds, "--iterations": self.iterations}
        for option, value in {**given, "--preview": self.preview}.items():
            if value is not None and codec != NAME:
                raise UsageError(f"{option} is for --codec {NAME}; leave it out for {codec}")

    def arguments(self, task: Task, shows: bool) -> dict[str, Any]:
        """Give the keyword arguments of the codec's `encode`; `shows`: a line on standard error tells how it goes."""
        from nicodec.splat.fitting import Budget

        default = Budget()
        budget = Budget(self.iterations or default.iterations, self.seconds)
        arguments: dict[str, Any] = {"gaussians": self.gaussians, "budget": budget}
        if shows:
            arguments["report"] = _Line(task.source_name)
        if self.preview:
            self.preview.mkdir(parents=True, exist_ok=True)
            arguments["preview"] = _Frames(self.preview, Path(task.source_name).stem)
        return arguments


class _Line:
    """One line on a terminal's standard error that is written again and again."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, progress: Progress) -> None:
        text = f"{progress.count} Gaussians, {progress.psnr:.2f} dB, {progress.seconds:.0f} s"
        progress_line(self.name, progress.share, text)


class _Frames:
    """Pictures of the fit, NAME-0010.png and so on."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name

    def __call__(self, progress: Progress, gaussians: Gaussians) -> None:
        from nicodec.splat import Picture

        Picture(gaussians).render().save(self.folder / f"{self.name}-{progress.iteration:04d}.png")
