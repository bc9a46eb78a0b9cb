"""Clips while they grow: pipes, early ends, and memory."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

import nicodec
from nicodec.media.clip_writing import Y4mSink
from nicodec.media.clips import FrameList
from nicodec.video import VideoReader, VideoWriter

from .conftest import PACKAGE, smooth


class Counting:
    """A file that counts what is written."""

    size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        return len(data)


def test_the_first_frame_is_out_before_the_last_goes_in(clip: Callable[..., FrameList], toy: str) -> None:
    """`compress - | decompress -` in two threads: a source that gives its last frame only after the first is out."""
    first_out = threading.Event()
    frames = clip(30)
    y4m_in, y4m_in_end = os.pipe()
    nic_in, nic_in_end = os.pipe()
    y4m_out, y4m_out_end = os.pipe()

    def feed() -> None:
        with os.fdopen(y4m_in_end, "wb", buffering=0) as file:
            sink = Y4mSink(file, frames.format)
            for number, frame in enumerate(frames.frames):
                if number == 29:
                    assert first_out.wait(20)
                sink.write(frame)

    def encode() -> None:
        with os.fdopen(y4m_in, "rb") as source, os.fdopen(nic_in_end, "wb", buffering=0) as target:
            nicodec.compress_video(source, target, 30, codec=toy)

    def decode() -> None:
        with os.fdopen(nic_in, "rb", buffering=0) as source, os.fdopen(y4m_out_end, "wb", buffering=0) as target:
            nicodec.decompress_video(source, target, format="y4m")

    threads = [threading.Thread(target=work, daemon=True) for work in (feed, encode, decode)]
    for thread in threads:
        thread.start()
    with os.fdopen(y4m_out, "rb") as out:
        head = out.read(200)
        assert head.startswith(b"YUV4MPEG2 W48 H32")
        first_out.set()
        whole = head + out.read()
    for thread in threads:
        thread.join(20)
    assert whole.count(b"FRAME\n") == 30


def test_memory_does_not_grow_with_length(toy: str) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        with VideoWriter(Counting(), codec=toy, width=48, height=32, quality=30) as writer:
            for number in range(count):
                writer.write(smooth(number))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(5)
    assert peak(80) < peak(20) + 200_000


def test_an_early_end_is_a_whole_clip(clip: Callable[..., FrameList], toy: str) -> None:
    seen: list[int] = []
    data = nicodec.compress_video(
        clip(20), None, 30, codec=toy, watch=lambda p: seen.append(p.frames), stop=lambda: len(seen) == 7
    )
    assert data is not None
    assert nicodec.info(data).frames == 7
    assert len(list(VideoReader(io.BytesIO(data)))) == 7


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_leaves_a_whole_clip(clip: Callable[..., FrameList], toy: str, tmp_path: Path) -> None:
    path = os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-m", "nicodec_cli", "compress", "-", "--codec", toy, "-o", "early.nic"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        sink = Y4mSink(process.stdin, clip(1).format)
        for frame in clip(20).frames:
            sink.write(frame)
        for _ in range(200):
            if any(p.stat().st_size > 2000 for p in tmp_path.glob(".nicodec-*.part")):
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        for frame in clip(2).frames:
            sink.write(frame)
        process.stdin.close()
        text = process.stderr.read().decode()
        assert process.wait(60) == 130, text
    assert "early.nic is whole and has the first" in text
    about = nicodec.info("early.nic")
    assert isinstance(about, nicodec.VideoInfo)
    assert 1 <= about.frames < 22
    assert len(list(VideoReader(io.BytesIO(Path("early.nic").read_bytes())))) == about.frames


def test_sound_is_written_about_when_it_is_due(toy: str, tmp_path: Path) -> None:
    from nicodec import container
    from tests.media.clip_drawing import SOUND, SOUND_PACKETS, draw, picture

    pictures = [picture(n) for n in range(8)]
    draw(tmp_path / "s.mov", pictures, encoder="libx264", copied=(SOUND,), packets=SOUND_PACKETS)
    nicodec.compress_video("s.mov", "s.nic", codec=toy)
    with open("s.nic", "rb") as file:
        reader = container.ClipReader(file)
        kinds = [type(item).__name__ for item in reader]
    assert kinds.count("FramePacket") == 8
    assert kinds.index("FramePacket") < len(kinds) - 1 - kinds[::-1].index("StreamPacket")
    nicodec.decompress_video("s.nic", "back.mov")
    from nicodec.container import StreamPacket
    from nicodec.media.clip_reading import ClipFile

    def sound(name: str) -> bytes:
        return b"".join(item.data for item in ClipFile(name) if isinstance(item, StreamPacket))

    assert sound("back.mov") == sound("s.mov") == b"".join(packet.data for packet in SOUND_PACKETS)
