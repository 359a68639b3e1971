"""The page in a real browser: Debian's `chromium` and `chromium-driver`."""

import re
import shutil

import numpy as np
import pytest

from cofusion.cli import main
from cofusion.reports.records.images import read_scene
from picture_runs import COLS, ROWS, WAVELENGTHS, cubes, write_run

pytestmark = pytest.mark.slow

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
HOSTILE = """x</script><script>window.hit=1</script>"'<img src=x onerror=window.hit=2>"""
METHODS = {"GSA": 0.05, "FUSE": 0.01, "CoFusion": 0.02}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Three methods on two scenes, one of them of a hostile name."""
    folder = tmp_path_factory.mktemp("page")
    scenes = {"field": 0, HOSTILE: 2}
    for name, error in METHODS.items():
        write_run(
            folder / "runs" / name, f"cofusion.models.{name}", error, scenes, trained=name == "CoFusion"
        )
    assert main(["report", str(folder / "runs"), "-o", str(folder / "report")]) == 0
    return folder


@pytest.fixture(scope="module")
def driver():
    if not CHROMIUM or not DRIVER:
        pytest.skip("no Chromium here; install Debian's chromium and chromium-driver")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = Chrome(options=options, service=ChromeService(DRIVER))
    yield found
    found.quit()


@pytest.fixture
def page(driver, report):
    driver.set_window_size(1280, 1000)
    driver.get((report / "report" / "index.html").as_uri())
    wait(driver, lambda: "row" in text(driver, "#where"))
    return driver


def wait(driver, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 10, poll_frequency=0.05).until(lambda _: condition())


def find(page, selector):
    return page.find_element("css selector", selector)


def every(page, selector):
    return page.find_elements("css selector", selector)


def text(page, selector):
    return find(page, selector).text


def first_column(page):
    return [row.text for row in every(page, "table.sortable:first-of-type tbody th")]


def caption(page):
    return text(page, "#left figcaption")


def click_pixel(page, row, col):
    """Click the middle of a pixel of the left picture."""
    from selenium.webdriver import ActionChains

    image = find(page, "#left img")
    # Selenium measures from the middle of what is in view.
    page.execute_script("arguments[0].scrollIntoView({ block: 'center' })", image)
    width, height = image.size["width"], image.size["height"]
    across, down = (col + 0.5) / COLS * width - width / 2, (row + 0.5) / ROWS * height - height / 2
    ActionChains(page).move_to_element_with_offset(image, round(across), round(down)).click().perform()


def shown_numbers(page):
    """The table of spectra: by method a list over the bands."""
    page.execute_script("document.getElementById('values').open = true")
    head, *rows = [
        [cell.text for cell in row.find_elements("css selector", "th, td")]
        for row in every(page, "#values tr")
    ]
    return {name: [float(row[column]) for row in rows] for column, name in enumerate(head) if column}


def test_a_click_on_a_heading_sorts_and_a_second_turns_round(page):
    table = find(page, "table.sortable")
    psnr = next(head for head in table.find_elements("css selector", "th") if head.text.startswith("PSNR"))
    place = table.find_elements("css selector", "thead th").index(psnr)

    def column():
        return [row.find_elements("css selector", "th, td")[place].text for row in every(table, "tbody tr")]

    assert first_column(page) == ["CoFusion", "GSA", "FUSE"]
    psnr.find_element("css selector", "button").click()
    rising = [float(re.match(r"[\d.]+", cell)[0]) for cell in column()]
    assert rising == sorted(rising) and len(set(rising)) == 3
    assert psnr.get_attribute("aria-sort") == "ascending"
    psnr.find_element("css selector", "button").send_keys("\ue007")  # Enter: keys do what the mouse does
    assert [float(re.match(r"[\d.]+", cell)[0]) for cell in column()] == rising[::-1]
    assert psnr.get_attribute("aria-sort") == "descending"
    table.find_element("css selector", "th button").click()
    assert psnr.get_attribute("aria-sort") is None
    assert first_column(page) == ["CoFusion", "FUSE", "GSA"]
    table.find_element("css selector", "thead th:last-child button").click()
    assert first_column(page)[-1] == "CoFusion"  # ten minutes; the others needed none


def test_pointing_at_a_method_shows_its_picture_until_the_pointer_leaves(page):
    from selenium.webdriver import ActionChains

    assert caption(page) == "CoFusion"
    pictures = {}
    labels = every(page, "#methods label")
    assert [label.text.split()[0] for label in labels] == [
        "LRHSI",
        "HRMSI",
        "Reference",
        "CoFusion",
        "GSA",
        "FUSE",
    ]
    for label in labels:
        ActionChains(page).move_to_element(label).perform()
        pictures[caption(page)] = find(page, "#left img").get_attribute("src")
        assert page.execute_script("return document.querySelector('#left img').naturalWidth") > 0
    assert len(set(pictures.values())) == 6
    ActionChains(page).move_to_element(find(page, "h1")).perform()
    assert caption(page) == "CoFusion"
    labels[4].click()
    ActionChains(page).move_to_element(find(page, "h1")).perform()
    assert caption(page) == "GSA" and "5.00°" in text(page, "#right figcaption")
    assert find(page, "#left img").get_attribute("src") == pictures["GSA"]


def test_keys_change_the_method_and_move_the_pixel(page):
    stage = find(page, "#left .stage")
    click_pixel(page, 20, 30)
    wait(page, lambda: text(page, "#where") == "Spectra at row 20, column 30")
    stage.send_keys("n")
    assert caption(page) == "GSA"
    stage.send_keys("pp")
    assert caption(page) == "Reference"
    stage.send_keys("6")
    assert caption(page) == "FUSE"
    assert every(page, "#methods input")[5].is_selected()
    stage.send_keys("\ue015", "\ue014", "\ue014")  # down, right, right
    wait(page, lambda: text(page, "#where") == "Spectra at row 21, column 32")
    stage.send_keys("\ue013" * 60)  # up, and no farther than the edge
    wait(page, lambda: text(page, "#where") == "Spectra at row 0, column 32")


@pytest.mark.parametrize(("row", "col"), [(0, 0), (20, 41), (ROWS - 1, COLS - 1)])
def test_a_click_shows_the_spectra_of_all_methods_at_that_pixel(page, report, row, col):
    click_pixel(page, row, col)
    wait(page, lambda: text(page, "#where") == f"Spectra at row {row}, column {col}")
    shown = shown_numbers(page)
    assert list(shown) == ["Reference", "CoFusion", "GSA", "FUSE"]
    for name in METHODS:
        scene = read_scene(report / "runs" / name / "images" / "0.npz")
        np.testing.assert_allclose(shown[name], scene.cube("fused")[:, row, col], atol=1e-4)
    np.testing.assert_allclose(shown["Reference"], cubes(0.1)["reference"][:, row, col], atol=4e-4)
    for svg, lines in (("#spectra", 4), ("#differences", 4)):
        paths = every(page, f"{svg} path")
        assert len(paths) == lines
        assert all(path.get_attribute("d").count("L") == len(WAVELENGTHS) - 1 for path in paths)
    flat = find(page, "#differences path.reference").get_attribute("d")
    assert len(set(re.findall(r"[ML][\d.]+ ([\d.]+)", flat))) == 1  # no difference to itself


def test_the_other_scene_and_its_hostile_name_are_shown_as_text(page):
    from selenium.webdriver.support.ui import Select

    scenes = Select(find(page, "#scene"))
    assert len(scenes.options) == 2
    before = find(page, "#left img").get_attribute("src")
    scenes.select_by_index(1)
    assert HOSTILE in find(page, "#scene option:nth-child(2)").get_attribute("textContent")
    assert find(page, "#left img").get_attribute("src") != before
    wait(page, lambda: "row" in text(page, "#where"))
    assert page.execute_script("return window.hit") is None


def test_spectra_that_cannot_be_unpacked_are_said(page):
    page.execute_script("delete window.DecompressionStream; document.getElementById('scene').value = 1")
    page.execute_script("document.getElementById('scene').dispatchEvent(new Event('change'))")
    wait(page, lambda: "The spectra cannot be unpacked (" in text(page, "#where"))


def test_nothing_is_fetched_and_nothing_fails(page):
    fetched = page.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert [name for name in fetched if not name.startswith("data:")] == []
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_phone_has_to_scroll_downwards_only(page):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True},
    )
    try:
        wide, seen = page.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= seen == 390
        left, right = (find(page, f"{side} img").rect for side in ("#left", "#right"))
        assert left["x"] == right["x"] and right["y"] > left["y"] + left["height"]
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_either_scheme(page, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    ink, paper = page.execute_script(
        "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]"
    )
    (dark, bright) = sorted((luminance(ink), luminance(paper)))
    assert (bright + 0.05) / (dark + 0.05) > 7
    assert (luminance(paper) < 0.1) == (scheme == "dark")


def luminance(colour):
    """Relative luminance after WCAG 2."""
    channels = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
