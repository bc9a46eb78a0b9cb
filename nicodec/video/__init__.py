"""Clips to .nic files and back, frame by frame.

    nicodec.compress_video("holiday.mp4", "holiday.nic", quality=50)
    nicodec.decompress_video("holiday.nic", "holiday.mkv")

What a clip needs in memory does not grow with its length.
"""

from nicodec.video.compressing import compress_video
from nicodec.video.decompressing import decompress_video
from nicodec.video.progress import ClipProgress
from nicodec.video.reader import Loss, VideoReader, first_frame
from nicodec.video.writer import VideoWriter

__all__ = [
    "ClipProgress",
    "Loss",
    "VideoReader",
    "VideoWriter",
    "compress_video",
    "decompress_video",
    "first_frame",
]
