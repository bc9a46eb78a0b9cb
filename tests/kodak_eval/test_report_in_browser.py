"""The report in headless Chromium: no script error, every part drawn, and the address carries the view."""

import html
import re
import shutil
import subprocess

import pytest

from kodak_eval.style import PLOTTED_PUBLISHED

from .test_outputs import finished  # noqa: F401 - a fixture

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def dump(finished, tmp_path_factory):  # noqa: F811
    """Return a function from the part of the address after # to the page's DOM after its scripts ran."""
    if BROWSER is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    profile = tmp_path_factory.mktemp("profile")

    def run(view=""):
        command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        command += ["--virtual-time-budget=4000", "--window-size=1200,900", "--dump-dom"]
        done = subprocess.run(
            [*command, f"file://{finished[1][-1]}#{view}"], capture_output=True, text=True, timeout=60, check=True
        )
        assert "data-error" not in done.stdout.split("<head>")[0], done.stdout[:300]
        assert 'data-ready="1"' in done.stdout
        return html.unescape(re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL))

    return run


def test_page_opens_and_draws(dump):
    page = dump()
    assert page.count("data-label=") == 2 + len(PLOTTED_PUBLISHED)
    assert "Rounding <b>&" in page
    assert len(re.findall(r'<tr class="published">', page)) >= 30
    assert page.count("<circle") > 20
    assert 'src="data:image/webp' in page or 'src="data:image/avif' in page
    assert "bad.png" in page
    assert "no such thing" in page


def test_address_sets_the_view(dump):
    page = dump("metric=psnr_yuv&log=1&left=original&right=webp&picture=b&slider=25&zoom=2")
    assert page.count("data-label=") == 2
    assert "PSNR, YUV 6:1:1 (dB)</text>" in page
    assert 'alt="b, original"' in page
    assert 'alt="b, webp"' in page
    assert "inset(0px 0px 0px 25%)" in page or "inset(0 0 0 25%)" in page
    assert re.search(r'id="stage"[^>]*style="width: 480px; height: 360px;"', page)
    assert re.search(r"WebP \(method 6\), quality \d+: [\d,]+ bytes", page)
