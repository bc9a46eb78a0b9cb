"""`nicodec play`: a clip to a player that is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from typing import Annotated

import typer

from nicodec.errors import NicodecError
from nicodec_cli import console, options
from nicodec_cli.tasks import STREAM

PLAYERS = {
    "mpv": ["mpv", "--title={title}", "-"],
    "ffplay": ["ffplay", "-loglevel", "error", "-autoexit", "-window_title", "{title}", "-i", "-"],
    "vlc": ["vlc", "--quiet", "--play-and-exit", "-"],
}
"""Programs that play Matroska from standard input, the first that is found."""


class NoPlayerError(NicodecError):
    """No player is installed."""


def play(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A clip's .nic file, or - for standard input.")],
    player: Annotated[
        str | None, typer.Option("--player", metavar="NAME", help="mpv, ffplay or vlc.", show_default="what is there")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Play what is whole of a damaged clip.", show_default=False)
    ] = False,
    device: options.Device = "cpu",
) -> None:
    """Decode a clip and play it, with its sound, in mpv, ffplay or VLC."""
    command = find_player(player)
    import nicodec

    source = sys.stdin.buffer if file == STREAM else file
    title = "standard input" if file == STREAM else file
    words = [word.replace("{title}", title) for word in command]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        try:
            with warnings.catch_warnings(record=True) as caught:
                nicodec.decompress_video(
                    source, process.stdin, encoder="x264-fast", format="mkv", partial=partial, device=device
                )
            for text in caught:
                console.warning(str(text.message))
            process.stdin.close()
        except (BrokenPipeError, NicodecError, KeyboardInterrupt) as error:
            process.terminate()
            if isinstance(error, NicodecError) and process.poll() is None:
                raise
    raise typer.Exit


def find_player(name: str | None) -> list[str]:
    """The command line of a player that is installed.

    Raises:
        NoPlayerError: there is none, or not the one that is named.

    """
    names = list(PLAYERS) if name is None else [name]
    for each in names:
        if each not in PLAYERS:
            raise NoPlayerError(f"--player {each}: not known; give {', '.join(PLAYERS)}")
        if shutil.which(each):
            return PLAYERS[each]
    wanted = " or ".join(names)
    raise NoPlayerError(
        f"{wanted} is not installed; install one (Debian: apt install mpv; macOS: brew install mpv), "
        "or decompress the clip: nicodec decompress FILE -o clip.mkv"
    )
