"""The report in headless Chromium: no script error, every part drawn, and the address carries the view."""

import html
import json
import re
import shutil
import subprocess

import pytest

from kodak_eval.curves import published_curves
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
    plotted = {curve.name for curve in published_curves("psnr")} & set(PLOTTED_PUBLISHED)
    assert page.count("data-label=") == 2 + len(plotted)
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


MEASURE = """<script>setTimeout(() => {
const within = (node) => node.closest(".scroll, #stage-scroll, svg, #tip");
const tooWide = (node) => !within(node) && node.getBoundingClientRect().right > innerWidth + 1;
const wide = [...document.querySelectorAll("body *")].filter(tooWide).map((node) => node.id || node.tagName);
const letters = [...document.querySelectorAll("svg text")].map((node) => node.getBoundingClientRect().height);
const look = getComputedStyle(document.body);
const root = document.documentElement;
parent.document.body.textContent = JSON.stringify({
  error: root.dataset.error || null, ready: root.dataset.ready, inner: innerWidth, scroll: root.scrollWidth, wide,
  letters: Math.min(...letters), back: look.backgroundColor, ink: look.color,
  divider: document.getElementById("divider").getBoundingClientRect().left,
  stage: ["left", "right"].map((side) => document.getElementById("stage-scroll").getBoundingClientRect()[side]),
  blend: getComputedStyle(document.getElementById("image-right")).mixBlendMode,
  focused: document.activeElement.dataset.key || null,
});
}, 200);</script>"""


@pytest.fixture(scope="module")
def measured(finished, tmp_path_factory):  # noqa: F811
    """Return a function from a width in pixels, a scheme and a script to what the page then measures of itself."""
    if BROWSER is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    page = finished[1][-1].read_text()
    place = tmp_path_factory.mktemp("frames")

    def run(width, dark=False, script=""):
        inner = page.replace("</body>", f"<script>{{{script}}}</script>{MEASURE}</body>")
        frame = place / "frame.html"
        style = f"border:0;width:{width}px;height:800px"
        frame.write_text(f'<body style="margin:0"><iframe style="{style}" srcdoc="{html.escape(inner)}"></iframe>')
        command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={place / 'profile'}"]
        command += ["--virtual-time-budget=4000", "--window-size=1400,900", "--dump-dom"]
        command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"file://{frame}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        found = json.loads(html.unescape(re.search(r"<body[^>]*>(.*)</body>", done.stdout, re.DOTALL)[1]))
        assert found["error"] is None
        assert found["ready"] == "1"
        return found

    return run


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows_and_letters_can_be_read(measured, width):
    found = measured(width)
    assert found["inner"] == width
    assert found["scroll"] <= width, found["wide"]
    assert found["wide"] == []
    assert found["letters"] >= 12


def test_the_page_is_dark_where_that_is_wanted(measured):
    light, dark = measured(390), measured(390, dark=True)
    brightness = {name: sum(map(int, re.findall(r"\d+", dark[name]))) for name in ("back", "ink")}
    assert brightness["back"] < 120 < 600 < brightness["ink"]
    assert light["back"] == "rgb(255, 255, 255)"


def test_the_divider_is_on_screen_at_every_zoom(measured):
    for zoom in ("1", "4"):
        script = f'update({{ zoom: "{zoom}", slider: "70" }}); byId("stage-scroll").scrollLeft = 333;'
        script += 'byId("stage-scroll").dispatchEvent(new Event("scroll"));'  # no frame may be drawn before the look
        found = measured(390, script=script)
        left, right = found["stage"]
        assert left < found["divider"] < right


def test_keys_flicker_and_show_the_difference_and_focus_is_kept(measured):
    press = 'byId("stage").dispatchEvent(new KeyboardEvent("keydown", {{ key: "{}" }}));'
    assert measured(1280, script=press.format("d"))["blend"] == "difference"
    assert measured(1280, script=press.format("d") + press.format("Escape"))["blend"] == "normal"
    flicker = press.format("f") + 'if (state.view !== "left") throw Error(state.view);'
    flicker += press.format("f") + 'if (state.view !== "right") throw Error(state.view);'
    assert measured(1280, script=flicker)["blend"] == "normal"
    first = 'const entry = document.querySelector("#legend-measured .entry"); entry.focus(); entry.click();'
    assert measured(1280, script=first)["focused"].startswith("curve ")
