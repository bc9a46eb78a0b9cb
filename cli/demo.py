"""`nicodec demo`: a photograph compressed, decompressed, and compared with JPEG."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nicodec import DEFAULT_CODEC
from nicodec_cli import console, options

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

SAMPLES = (
    ("skimage", "data/astronaut.png"),  # lossless, 512x512, NASA, public domain
    ("skimage", "data/chelsea.png"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)
"""Photographs that installed packages carry: package, and the file in it. The first one found is taken."""


def demo(
    picture: Annotated[
        Path | None,
        typer.Argument(
            metavar="PICTURE", help="Your photograph; else one of an installed package.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the files; it is made.")
    ] = Path("nicodec-demo"),
    quality: Annotated[float, typer.Option("--quality", "-q", metavar="0..100", help="Larger is better.")] = 25,
    codec: Annotated[
        str, typer.Option("--codec", metavar="NAME", help="Model: a name of `nicodec models`, or a folder.")
    ] = DEFAULT_CODEC,
    device: options.Device = "cpu",
) -> None:
    """Compress a photograph and compare it with JPEG.

    The JPEG has the same size. Writes original.png, photo.nic, nicodec.png, photo.jpg and jpeg.png, over
    those of the last time.
    """
    import time

    import numpy as np

    from nicodec import media
    from nicodec.errors import OutputError
    from nicodec.zoo import find_model

    options.check_quality(quality)
    source = picture or sample_photograph()
    original = media.to_pil(media.read_picture(source)).convert("RGB")
    find_model(codec)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{output}: cannot be made ({error.strerror}); name another folder with -o") from error
    model = options.load_model(codec, device)
    model.compress(original.crop((0, 0, 64, 64)), quality)  # the first run sets up, and is slower
    start = time.perf_counter()
    data = model.compress(np.asarray(original), quality)
    encoded = time.perf_counter()
    decoded = model.decompress(data)
    seconds = encoded - start, time.perf_counter() - encoded
    decibels = psnr(np.asarray(original), np.asarray(decoded))
    jpeg = jpeg_of_size(original, len(data))
    jpeg_decoded = _decode(jpeg)
    jpeg_decibels = psnr(np.asarray(original), np.asarray(jpeg_decoded))

    media.save_picture(original, output / "original.png", overwrite=True)
    media.write_atomically(output / "photo.nic", data, overwrite=True)
    media.save_picture(decoded, output / "nicodec.png", overwrite=True)
    media.write_atomically(output / "photo.jpg", jpeg, overwrite=True)
    media.save_picture(jpeg_decoded, output / "jpeg.png", overwrite=True)

    typer.echo(f"{source}: {original.width}x{original.height}")
    pixels = original.width * original.height
    rows = [
        [name, f"{count} B", f"{8 * count / pixels:.3f}", f"{value:.2f} dB"]
        for name, count, value in (("nicodec", len(data), decibels), ("JPEG", len(jpeg), jpeg_decibels))
    ]
    for line in console.table(["", "size", "bpp", "PSNR"], rows):
        typer.echo(line)
    equal = jpeg_of_psnr(original, decibels)
    if equal is None:
        typer.echo("No JPEG of this picture is as good.")
    else:
        typer.echo(
            f"A JPEG of the same PSNR has {len(equal)} B: {console.ratio_text(len(equal), len(data))} as many."
        )
    typer.echo(f"Encoded in {seconds[0]:.2f} s, decoded in {seconds[1]:.2f} s. Compare the pictures:")
    for name in ("original.png", "nicodec.png", "jpeg.png"):
        typer.echo(f"  {output / name}")


def sample_photograph() -> Path:
    """Find a photograph that an installed package carries, without importing the package.

    Raises:
        MissingPackageError: none is installed.

    """
    for package, name in SAMPLES:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            path = Path(folder, name)
            if path.is_file():
                return path
    raise console.MissingPackageError(
        "no installed package carries a photograph; name yours (nicodec demo photo.jpg), or install "
        "nicodec with its extra: pip install '.[eval]' in its folder"
    )


def psnr(original: np.ndarray, decoded: np.ndarray) -> float:
    """PSNR in dB of two uint8 arrays of one shape, over all their values; infinite where they are equal."""
    import numpy as np

    error = np.mean((original.astype(np.float64) - decoded) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def jpeg_of_size(image: Image.Image, size: int) -> bytes:
    """Give the smallest JPEG of at least `size` bytes, or the largest there is; JPEG gets the odd bytes."""
    return _first_jpeg(image, lambda data: len(data) >= size) or _jpeg(image, 100)


def jpeg_of_psnr(image: Image.Image, decibels: float) -> bytes | None:
    """Give the smallest JPEG of at least this PSNR in dB; None where there is none."""
    import numpy as np

    pixels = np.asarray(image)
    return _first_jpeg(image, lambda data: psnr(pixels, np.asarray(_decode(data))) >= decibels)


def _first_jpeg(image: Image.Image, good: Callable[[bytes], bool]) -> bytes | None:
    """Bisect JPEG's quality for the first that is good."""
    low, high, best = 1, 100, None
    while low <= high:
        middle = (low + high) // 2
        data = _jpeg(image, middle)
        if good(data):
            best, high = data, middle - 1
        else:
            low = middle + 1
    return best


def _jpeg(image: Image.Image, quality: int) -> bytes:
    import io

    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")
    return out.getvalue()


def _decode(jpeg: bytes) -> Image.Image:
    import io

    from PIL import Image

    with Image.open(io.BytesIO(jpeg)) as image:
        return image.convert("RGB")
