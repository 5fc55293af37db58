"""Pages in a real browser; skipped where there is none."""

import base64
import gzip
import re

import nibabel as nib
import numpy as np
import pytest

from joint_seg_cls.casepage import page_path, read_case, write_case_page, write_index, write_pages
from joint_seg_cls.scan import read_scan

HOSTILE = '<b>"x'


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    """Findings and pages of two scans, one with a name that looks like markup."""
    place = tmp_path_factory.mktemp("pages") / "findings"
    for name, lesions in (("p1", ("L1", "L2", "L3")), (HOSTILE, ("L1",))):
        scan = tiny.write(place, name, lesions=lesions, warnings=["voxels are <i>large</i>"])
        write_case_page(read_case(place / f"{name}.json", read_scan(scan)), page_path(place, name))
    write_index(place)
    return place


@pytest.fixture(scope="module")
def browser(chromium):
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def opened(browser, folder):
    assert browser.open(page_path(folder, "p1")) == "ready"
    return browser


@pytest.fixture
def page(opened):
    """The page of the first scan, at the width of a laptop."""
    opened.resize(1280, 900)
    return opened


def position(browser):
    return browser.value("document.getElementById('position').textContent")


def chosen(browser):
    return browser.value("[...document.querySelectorAll('tr.chosen')].map(row => Number(row.dataset.lesion))")


def in_axial_view(browser, file, mm):
    """Return where a position is in the window if one axial slice fills the canvas."""
    packed = re.search(r'id="volume-image">(.*?)</script>', file.read_text(), re.DOTALL)[1]
    image = nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(packed)))
    spacing = np.linalg.norm(image.affine[:3, :3], axis=0)
    index = np.linalg.solve(image.affine, [*mm, 1])[:3]
    from_centre_mm = (index - (np.array(image.shape) - 1) / 2) * spacing
    sides_mm = np.array(image.shape) * spacing
    browser.centre("#canvas")
    left, top, width, height = browser.value(
        "(() => { const b = document.getElementById('canvas').getBoundingClientRect();"
        "return [b.x, b.y, b.width, b.height]; })()"
    )
    scale = min(width / sides_mm[0], height / sides_mm[1])
    return left + width / 2 + from_centre_mm[0] * scale, top + height / 2 - from_centre_mm[1] * scale


def test_a_click_on_a_row_moves_the_viewer_to_its_lesion(page, tiny):
    for row, name in ((2, "L2"), (3, "L3"), (1, "L1")):
        page.click(*page.centre(f"tr[data-lesion='{row}'] td:last-child"))
        assert f"· lesion {name}" in position(page)
        shown = [float(number) for number in re.findall(r"\b[xyz] (-?\d+)", position(page))]
        np.testing.assert_allclose(shown, tiny.centre_mm(tiny.masks[name]), atol=2.5)  # a voxel
        assert chosen(page) == [row]
    assert page.problems() == []


def test_a_click_on_a_lesion_in_the_viewer_finds_its_row(page, folder, tiny):
    """Two lesions lie in one axial layer: the viewer is moved to one, and the other is clicked."""
    page.click(*page.centre("[data-view='0']"))
    page.click(*page.centre("tr[data-lesion='1'] td:last-child"))
    assert chosen(page) == [1]
    page.click(*in_axial_view(page, page_path(folder, "p1"), tiny.centre_mm(tiny.masks["L2"])))
    assert chosen(page) == [2], position(page)
    page.click(*page.centre("[data-view='3']"))


def test_the_keyboard_reaches_every_lesion_and_moves_the_crosshair(page):
    page.value("document.querySelector('tr[data-lesion=\"1\"] .jump').focus()")
    page.key("Enter")
    assert chosen(page) == [1]
    page.key("ArrowDown")
    second = page.value("document.activeElement.closest('tr').dataset.lesion")
    assert chosen(page) == [int(second)] != [1]
    before = position(page)
    page.value("document.getElementById('canvas').focus()")
    page.key("ArrowRight")
    page.key("ArrowRight")
    assert position(page) != before


def test_headings_sort_by_number_and_overlays_change_the_picture(page):
    volumes = "[...document.querySelectorAll('#lesions tbody tr')].map(row => Number(row.cells[2].dataset.value))"
    assert page.value("document.querySelectorAll('#lesions th')[2].textContent") == "Volume (mL)"
    for expected in (True, False):
        page.click(*page.centre("#lesions th:nth-child(3) button"))
        found = page.value(volumes)
        assert found == sorted(found, reverse=expected)
    page.centre("#canvas")
    pictures = []
    for _ in range(2):
        pictures.append(page.send("Page.captureScreenshot")["data"])
        page.click(*page.centre("[data-volume='probability']"))
        page.centre("#canvas")
    assert pictures[0] != pictures[1]


def test_a_name_can_be_hidden_and_markup_in_it_is_text(browser, page, folder):
    page.click(*page.centre("#hide-name"))
    assert page.value("document.querySelector('h1').textContent + document.title") == "ScanScan"
    page.click(*page.centre("#hide-name"))
    assert page.value("document.title") == "p1"
    browser.open(page_path(folder, HOSTILE))
    assert browser.value("document.title") == HOSTILE
    assert browser.value("document.querySelector('h1').textContent.trim()") == HOSTILE
    assert browser.value("document.querySelectorAll('h1 b, .warnings i').length") == 0
    assert browser.problems() == []
    browser.open(page_path(folder, "p1"))


def test_nothing_is_requested_and_nothing_can_be(page, folder):
    file = page_path(folder, "p1")
    assert page.open(file) == "ready"
    assert page.requests() == [file.as_uri()]
    assert page.value("fetch('http://127.0.0.1:9/').then(() => 'sent', error => 'refused')") == "refused"
    assert any("Content Security Policy" in problem for problem in page.problems())


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_the_width_of_a_phone_and_of_a_laptop(page, folder, width):
    page.resize(width, 844)
    assert page.value("document.documentElement.scrollWidth") <= width
    page.click(*page.centre("tr[data-lesion='3'] td:last-child"))
    assert "· lesion L3" in position(page)


def test_a_switch_changes_the_modality_and_its_window(page, tiny, tmp_path):
    scan = tiny.write(tmp_path / "findings", "p1")
    second = tiny.write_second(tmp_path / "findings", "p1")
    page.open(write_pages("p1", (scan, second), ("flair", "t1"), tmp_path / "findings"))
    page.click(*page.centre("tr[data-lesion='2'] td:last-child"))
    page.centre("#canvas")
    box = page.value(
        "(() => { const b = document.getElementById('canvas').getBoundingClientRect();"
        "return { x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height, scale: 1 }; })()"
    )
    levels = "[document.getElementById('black').value, document.getElementById('white').value]"
    pictures, windows = [], []
    for key in ("image", "image-2", "image"):
        page.click(*page.centre(f"[data-image='{key}']"))
        page.centre("#canvas")
        pictures.append(page.send("Page.captureScreenshot", clip=box)["data"])
        windows.append(page.value(levels))
    assert pictures[0] == pictures[2] != pictures[1]
    assert windows[0] == windows[2] != windows[1]
    assert "· lesion L2" in position(page)
    assert page.problems() == []


def test_the_index_sorts_its_scans_and_leads_to_them(browser, folder):
    browser.resize(1280, 900)
    browser.events.clear()
    browser.send("Page.navigate", url=(folder / "index.html").as_uri())
    browser.wait("document.readyState === 'complete' && document.querySelectorAll('tbody tr').length === 2")
    names = "[...document.querySelectorAll('tbody tr')].map(row => row.cells[1].textContent)"
    browser.click(*browser.centre("th:nth-child(5) button"))
    assert browser.value("document.querySelectorAll('th')[4].textContent") == "Lesions"
    assert browser.value(names) == ["p1", HOSTILE]
    browser.click(*browser.centre("th:nth-child(5) button"))
    assert browser.value(names) == [HOSTILE, "p1"]
    browser.click(*browser.centre("tbody tr:first-child a"))
    browser.wait(f"document.title === {HOSTILE!r}")
    assert browser.problems() == []


def test_without_webgl_the_slices_show_the_findings(chromium, folder):
    with chromium(webgl=False) as browser:
        assert browser.open(page_path(folder, "p1")) == "unavailable"
        assert "needs WebGL 2" in position(browser)
        widths = browser.value("[...document.querySelectorAll('.slice img')].map(image => image.naturalWidth)")
        assert len(widths) == 24  # four slices of three planes, each with its location map
        assert min(widths) > 100
        browser.click(*browser.centre("tr[data-lesion='3'] td:last-child"))
        assert chosen(browser) == [3]
        assert browser.value("document.querySelectorAll('.slice.chosen').length") >= 1
        assert browser.problems() == []


@pytest.mark.parametrize("restored_by", ["reader", "browser"])
def test_a_viewer_that_the_browser_stopped_leaves_the_slices_and_starts_again(browser, folder, tiny, restored_by):
    browser.resize(1280, 900)
    assert browser.open(page_path(folder, "p1")) == "ready"
    browser.click(*browser.centre("tr[data-lesion='2'] td:last-child"))
    browser.lose_webgl()
    assert "has stopped the interactive viewer. The key slices below show" in position(browser)
    browser.click(*browser.centre("tr[data-lesion='3'] td:last-child"))
    assert browser.value("document.querySelectorAll('.slice.chosen').length") >= 1
    if restored_by == "reader":
        browser.click(*browser.centre("#again"))
    else:
        browser.value("lost.restoreContext()")
    browser.wait("document.documentElement.dataset.viewer === 'ready'")
    assert "· lesion L2" in position(browser), "where the viewer was"
    browser.click(*browser.centre("tr[data-lesion='1'] td:last-child"))
    assert "· lesion L1" in position(browser)
    browser.value("document.getElementById('canvas').focus()")
    before = position(browser)
    for _ in range(2):
        browser.key("ArrowRight")
    assert position(browser) != before
    browser.click(*browser.centre("[data-volume='probability']"))
    assert browser.problems() == []
