"""Files that are cut short: what JPEG and JPEG XL give of their first bytes, and what is told of them."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from kodak_eval.cache import Cache
from kodak_eval.errors import CodecUnavailableError
from kodak_eval.measurement import Job
from kodak_eval.metrics import psnr_rgb
from kodak_eval.progressive import codecs, libjxl
from kodak_eval.progressive.cutting import SHARES, Cut, CutFile, CutTask
from kodak_eval.progressive.means import TABLE_SHARES, cut_groups
from kodak_eval.progressive.report import plot_cuts, section_of
from kodak_eval.progressive.table import cut_table


@pytest.fixture(scope="module")
def photo():
    from skimage import data

    return data.astronaut()[:192, 100:324]


@pytest.fixture(params=codecs.ANCHORS, ids=lambda codec: codec.name)
def anchor(request):
    try:
        request.param.version()
    except CodecUnavailableError as error:
        pytest.skip(str(error))
    return request.param


def test_more_bytes_of_a_progressive_file_give_a_better_picture(anchor, photo):
    setting = 90 if anchor.parameter == "quality" else 1.0
    file = anchor.encode(photo, setting)
    shown = [anchor.decode_prefix(file[: round(share * len(file))]) for share in (0.3, 0.6, 0.9)]
    values = [psnr_rgb(photo, pixels) for pixels in shown]
    assert values == sorted(values)
    assert values[0] > 15
    whole = anchor.decode_prefix(file)
    assert np.array_equal(whole, anchor.decode(file))
    assert values[-1] < psnr_rgb(photo, whole)
    assert anchor.decode_prefix(file[:30]) is None


def test_a_foreign_file_is_no_jpeg_xl(photo):
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    try:
        libjxl.version()
    except CodecUnavailableError as error:
        pytest.skip(str(error))
    with pytest.raises(RuntimeError, match="libjxl"):
        libjxl.decode_what_is_there(file.getvalue())


@dataclasses.dataclass(frozen=True)
class Rows(codecs.Levels):
    """A codec in levels without a network: rows of a picture, of which each 64 make a level."""

    def version(self):
        return "1"

    def encode(self, pixels, setting):
        return np.asarray(pixels.shape[:2], np.uint16).tobytes() + pixels.tobytes()

    def decode(self, data):
        height, width = map(int, np.frombuffer(data[:4], np.uint16))
        pixels = np.zeros((height, width, 3), np.uint8)
        count = (len(data) - 4) // (width * 3 * 64) * 64 if len(data) < 4 + pixels.size else height
        pixels[:count] = np.frombuffer(data[4:], np.uint8)[: count * width * 3].reshape(count, width, 3)
        return pixels

    def decode_prefix(self, data):
        pixels = self.decode(data)
        return pixels if pixels.any() else None


def test_a_task_cuts_all_at_the_same_bytes(dataset, tmp_path):
    picture = dataset.pictures[0]
    rows, jpeg = Rows("rows"), codecs.ProgressiveJpeg()
    known = ((1.0, 20.0), (100.0, 40.0))
    task = CutTask(Job(picture, rows, 80, "1", ()), ((jpeg, jpeg.version()),), known, strip=True)
    result = task.perform(Cache(tmp_path / "cache"))
    assert not result.error
    own, other = result.files
    assert (own.codec, own.against, other.against) == ("nicodec-rows", "nicodec-rows", "nicodec-rows")
    assert own.size == 4 + 3 * picture.width * picture.height
    assert [cut.share for cut in own.cuts] == list(SHARES)
    assert [cut.size for cut in own.cuts] == [round(share * own.size) for share in SHARES]
    assert all(cut.size == min(mine.size, other.size) for cut, mine in zip(other.cuts, own.cuts, strict=True))
    values = [cut.psnr for cut in own.cuts]
    assert values[0] is None
    assert [value is None for value in values] == sorted([value is None for value in values], reverse=True)
    assert own.cuts[-1].psnr == pytest.approx(58.92)
    made = [cut.made for cut in own.cuts if cut.made is not None]
    assert made == sorted(made)
    assert made[-1] == pytest.approx(20 + 20 * np.log(8 * own.size / (picture.width * picture.height)) / np.log(100))
    assert all(cut.made is None for cut in other.cuts)
    assert [bool(cut.image) for cut in other.cuts] == [cut.share in (0.05, 0.1, 0.25, 0.5, 1) for cut in other.cuts]

    gone = dataclasses.replace(picture, path=tmp_path / "gone.png")
    lost = dataclasses.replace(task, job=dataclasses.replace(task.job, picture=gone))
    assert lost.perform(Cache(tmp_path / "cache")).error


def drawn(picture, codec, label, shift=0.0, first=True):
    image = io.BytesIO()
    Image.new("RGB", (8, 8), (9, 99, 199)).save(image, "AVIF")
    cuts = tuple(
        Cut(
            share,
            round(1000 * share),
            20 + 20 * share + shift if share > 0.1 or first else None,
            30.0,
            image.getvalue(),
        )
        for share in SHARES
    )
    return CutFile(picture, codec, "nicodec-x", label, 80, 1000, cuts)


def test_means_need_every_picture(tmp_path):
    files = [
        drawn("a", "nicodec-x", "x <1>"),
        drawn("a", "jpeg", "JPEG", -3, first=False),
        drawn("b", "nicodec-x", "x <1>", 2),
        drawn("b", "jpeg", "JPEG"),
    ]
    (group,) = cut_groups(files)
    assert group.pictures == 2
    own, jpeg = group.curves
    assert own.psnr[0] == pytest.approx(20 + 20 * SHARES[0] + 1)
    assert jpeg.psnr[0] is None
    assert jpeg.psnr[-1] == pytest.approx(38.5)
    assert [len(values) for _, values in group.rows()] == [len(TABLE_SHARES)] * 3
    assert cut_table(group).row_count == 3
    paths = plot_cuts(files, tmp_path / "progressive")
    assert [path.suffix for path in paths] == [".png", ".svg", ".pdf"]
    text = section_of(files, paths[1])
    assert text.count("<img") == 4 * 5
    assert "x &lt;1&gt;" in text
    assert "x <1>" not in text
    assert plot_cuts([], tmp_path / "none") == []
    assert section_of([], tmp_path / "none.svg") == ""
