"""The page of two visits in a real browser; skipped where there is none."""

import re

import nibabel as nib
import numpy as np
import pytest

#: Lower corners and sides of lesions at the later visit: L1 gone, L2 grown, L3 stable, one new.
LATER = (((25, 28, 18), (4, 4, 4)), ((16, 24, 9), (2, 2, 2)), ((14, 30, 20), (3, 3, 3)))
KINDS = ("new", "grown", "gone", "stable")


@pytest.fixture(scope="module")
def file(tiny, tmp_path_factory):
    """The page of two visits in two modalities; the second is the first, inverted."""
    from joint_seg_cls.cli.main import main

    folder = tmp_path_factory.mktemp("visits") / "findings"
    pairs = []
    for name, lesions in (("first", tuple(tiny.masks)), ("second", LATER)):
        scan = tiny.write(folder, name, lesions=lesions)
        image = nib.load(scan)
        other = scan.with_name(f"{name}_t1.nii.gz")
        nib.save(nib.Nifti1Image(np.max(image.dataobj) - np.asarray(image.dataobj), image.affine), other)
        pairs.append(f"[{scan},{other}]")
    main(["compare", f"input=[{','.join(pairs)}]", f"findings={folder}", "modality=[flair,t1]"])
    return folder / "second_since_first.html"


@pytest.fixture(scope="module")
def browser(chromium):
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser, file):
    assert browser.open(file) == "ready"
    return browser


def position(browser):
    return browser.value("document.getElementById('position').textContent")


def choose(browser, row):
    browser.click(*browser.centre(f"tr[data-lesion='{row}'] td:last-child"))


def canvas(browser):
    """Return the picture of the viewer, and the ends of its window."""
    browser.centre("#canvas")
    box = browser.value(
        "(() => { const b = document.getElementById('canvas').getBoundingClientRect();"
        "return { x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height, scale: 1 }; })()"
    )
    levels = browser.value("[document.getElementById('black').value, document.getElementById('white').value]")
    return browser.send("Page.captureScreenshot", clip=box)["data"], levels


def test_a_click_on_a_change_moves_the_viewer_to_it_also_where_the_lesion_is_gone(page, tiny):
    places = {
        "grown": tiny.centre_mm(tiny.masks["L2"]),
        "gone": tiny.centre_mm(tiny.masks["L1"]),
        "stable": tiny.centre_mm(tiny.masks["L3"]),
    }
    for row, kind in enumerate(KINDS, start=1):
        choose(page, row)
        assert f"· {kind}" in position(page)
        if kind in places:
            shown = [float(number) for number in re.findall(r"\b[xyz] (-?\d+)", position(page))]
            np.testing.assert_allclose(shown, places[kind], atol=3)
    assert page.problems() == []


def test_a_switch_shows_the_other_modality_and_a_box_the_earlier_scan(page):
    choose(page, 1)
    flair, levels = canvas(page)
    page.click(*page.centre("[data-image='image-2']"))
    t1, levels_of_t1 = canvas(page)
    assert t1 != flair
    assert levels_of_t1 != levels
    for key in ("earlier", "earlier-2"):
        page.click(*page.centre(f"[data-volume='{key}']"))
        assert canvas(page)[0] != t1
        page.click(*page.centre(f"[data-volume='{key}']"))
        assert canvas(page)[0] == t1
    page.click(*page.centre("[data-image='image']"))
    assert canvas(page) == (flair, levels)
    assert "· new" in position(page)
    assert page.problems() == []


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_the_width_of_a_phone_and_of_a_laptop(page, width):
    page.resize(width, 844)
    assert page.value("document.documentElement.scrollWidth") <= width


def has_slices_of(browser, row):
    choose(browser, row)
    return browser.value("[...document.querySelectorAll('tr.chosen')].map(r => Number(r.dataset.lesion))") == [
        row
    ] and (browser.value("document.querySelectorAll('.slice.chosen').length") >= 1)


def test_without_webgl_the_slices_of_both_visits_show_the_changes(chromium, file):
    with chromium(webgl=False) as browser:
        assert browser.open(file) == "unavailable"
        assert "needs WebGL 2" in position(browser)
        widths = browser.value("[...document.querySelectorAll('.slice img')].map(image => image.naturalWidth)")
        assert len(widths) == 36  # four slices of three planes: FLAIR, T1 and the earlier FLAIR
        assert min(widths) > 100
        for row in range(1, 4):
            assert has_slices_of(browser, row)
        browser.click(*browser.centre("#again"))
        browser.wait("document.getElementById('again') && document.documentElement.dataset.viewer === 'unavailable'")
        assert browser.problems() == []


def test_after_the_browser_stopped_the_viewer_it_starts_again_with_the_chosen_image(page):
    page.resize(1280, 900)
    choose(page, 3)
    page.click(*page.centre("[data-image='image-2']"))
    page.click(*page.centre("[data-volume='earlier']"))
    before = canvas(page)
    page.lose_webgl()
    assert has_slices_of(page, 1)
    choose(page, 3)
    page.click(*page.centre("#again"))
    page.wait("document.documentElement.dataset.viewer === 'ready'")
    assert "· gone" in position(page)
    assert canvas(page) == before
    assert page.problems() == []
