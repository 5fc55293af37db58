"""The page of a case without a browser: what it holds, what it leaves out, and what it refuses."""

import base64
import gzip
import hashlib
import json
import re
import zlib
from contextlib import suppress
from importlib.resources import files

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from joint_seg_cls.casepage import page as page_module
from joint_seg_cls.casepage import page_path, read_case, summary_of, write_case_page, write_case_pdf, write_index
from joint_seg_cls.casepage.volumes import coarser, lesion_points_mm, viewer_volumes
from joint_seg_cls.errors import ScanError
from joint_seg_cls.scan import Grid, read_scan

HOSTILE = '<b>"x'


LESIONS = ("L1", "L2", "L3")


def page_of(case, tmp_path, **settings):
    path = tmp_path / "page.html"
    write_case_page(case, path, **settings)
    return path.read_text(encoding="utf-8")


def data_of(text):
    return json.loads(re.search(r'id="page-data">(.*?)</script>', text, re.DOTALL)[1])


def volume_of(text, key):
    packed = re.search(rf'id="volume-{key}">(.*?)</script>', text, re.DOTALL)[1]
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(packed)))


def test_a_page_refers_to_nothing_outside_itself_and_forbids_the_browser_to(predicted, tmp_path):
    text = page_of(predicted(), tmp_path)
    references = re.findall(r'\b(?:src|href|action|srcset|poster)\s*=\s*"([^"]*)"', text)
    assert references
    assert all(reference.startswith("data:") for reference in references)
    assert "default-src 'none'" in text
    assert "connect-src" not in text  # nothing is allowed beyond the default


def test_text_of_a_scan_is_text_on_its_page(predicted, tmp_path):
    ends = "</script><script>alert(1)</script>"
    case = predicted(HOSTILE.replace("/", ""), regions={"L1": ends}, warnings=[ends], classes=(ends, "B"))
    text = page_of(case, tmp_path)
    assert HOSTILE not in text
    assert "&lt;b&gt;&#34;x" in text
    assert "alert(1)</script>" not in text
    assert text.count("<script") == text.count("</script>")


def text_of_pdf(path):
    """Return the bytes of a PDF and the texts of its compressed streams, in which kerning separates letters."""
    content = path.read_bytes()
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL):
        with suppress(zlib.error):
            content += b"".join(re.findall(rb"\(((?:\\.|[^()\\])*)\)", zlib.decompress(stream)))
    return content


def test_a_hidden_name_is_nowhere_on_the_page_its_index_and_its_pdf(predicted, tmp_path):
    warning = "Doe-Jane.nii.gz has thick slices, as Doe-Jane has; slices of 7.0 mm"
    case = predicted("Doe-Jane", warnings=[warning], preprocessing={"sources": ["Doe-Jane.nii.gz"]})
    text = page_of(case, tmp_path, hide_name=True)
    assert "Doe-Jane" not in text
    assert "Scan has thick slices, as Scan has; slices of 7.0 mm" in text
    slices = write_case_page(case, page_path(tmp_path / "findings", "Doe-Jane"), hide_name=True)
    index = write_index(tmp_path / "findings", hide_names=True).read_text()
    assert "Scan 1" in index
    assert re.sub(r'href="Doe-Jane.html"', "", index).count("Doe-Jane") == 0  # the file itself keeps its name
    write_case_pdf(summary_of(case, hide_name=True), slices, tmp_path / "page.pdf")
    content = text_of_pdf(tmp_path / "page.pdf")
    assert b"thick slices" in content
    assert b"Doe-Jane" not in content


def test_lesions_of_the_viewer_have_the_numbers_and_places_of_the_table(predicted, tiny, tmp_path):
    """The table may be in any order: its rows are found by their centroids."""
    path = write_prediction_sorted(predicted, tmp_path)
    text = page_of(path, tmp_path)
    data = data_of(text)
    volume = volume_of(text, "lesions")
    values = np.asarray(volume.dataobj)
    order = ["L3", "L1", "L2"]
    assert data["names"] == [f"lesion {name}" for name in order]
    for row, name in enumerate(order, start=1):
        index = np.argwhere(values == row)
        assert len(index) == tiny.masks[name].sum()
        centre = (volume.affine @ [*index.mean(axis=0), 1])[:3]
        np.testing.assert_allclose(centre, tiny.centre_mm(tiny.masks[name]), atol=1e-4)
        point = np.linalg.solve(volume.affine, [*data["lesions"][row - 1], 1])[:3]
        assert values[tuple(np.rint(point).astype(int))] == row


def write_prediction_sorted(predicted, tmp_path):
    predicted()
    file = tmp_path / "findings" / "p1_lesions.tsv"
    pd.read_csv(file, sep="\t").iloc[[2, 0, 1]].to_csv(file, sep="\t", index=False)
    return read_case(tmp_path / "findings" / "p1.json", read_scan(tmp_path / "p1.nii.gz"))


def test_files_of_another_scan_and_a_table_of_other_lesions_are_refused(predicted, tiny, tmp_path):
    predicted()
    record = tmp_path / "findings" / "p1.json"
    moved = tiny.affine.copy()
    moved[0, 3] += 5
    noise = np.random.default_rng(1).normal(size=tiny.shape).astype(np.float32)
    nib.save(nib.Nifti1Image(noise, moved), tmp_path / "o.nii.gz")
    with pytest.raises(ScanError, match=r"name the scan that the prediction was made from"):
        read_case(record, read_scan(tmp_path / "o.nii.gz"))
    file = tmp_path / "findings" / "p1_lesions.tsv"
    pd.read_csv(file, sep="\t").iloc[:2].to_csv(file, sep="\t", index=False)
    with pytest.raises(ScanError, match=r"the table of 3 lesions that the record counts, found 2 rows"):
        read_case(record, read_scan(tmp_path / "p1.nii.gz"))
    record.write_text("{}")
    with pytest.raises(ScanError, match="the record of a prediction"):
        read_case(record, read_scan(tmp_path / "p1.nii.gz"))


def test_a_page_that_would_be_too_large_has_coarser_volumes(predicted, tiny, tmp_path, monkeypatch):
    case = predicted()
    full = len(page_of(case, tmp_path))
    limit = full - 20_000
    monkeypatch.setattr(page_module, "LARGEST_PAGE", limit)
    monkeypatch.setattr(page_module, "_MOST_VOXELS", int(np.prod(tiny.shape)))
    text = page_of(case, tmp_path)
    assert len(text) <= limit
    assert {*np.unique(np.asarray(volume_of(text, "lesions").dataobj))} == {0, 1, 2, 3}  # none is lost


def test_a_coarser_grid_keeps_the_field_of_view_and_its_coarse_axis():
    grid = Grid((100, 100, 10), np.array([[0.9, 0, 0, -40], [0, 0.9, 0, -50], [0, 0, 6.0, 7], [0, 0, 0, 1.0]]))
    small = coarser(grid, 20_000)
    assert np.prod(small.shape) <= 20_000
    assert small.shape[2] == 10
    for corner in (-0.5, 0.5):
        ends = [each.affine @ [*(np.array(each.shape) * (corner + 0.5) - 0.5), 1] for each in (grid, small)]
        np.testing.assert_allclose(*ends, atol=1e-6)


def test_the_point_of_a_hollow_lesion_lies_inside_it():
    labels = np.zeros((9, 9, 3), np.int32)
    labels[1:8, 1:8, 1] = 1
    labels[2:7, 2:7, 1] = 0  # a frame around its own centroid
    (point,) = lesion_points_mm(labels, Grid((9, 9, 3), np.eye(4)))
    assert labels[tuple(int(value) for value in point)] == 1


def test_maps_keep_their_values_in_the_viewer(predicted, tiny):
    case = predicted()
    volumes = {volume.key: volume for volume in viewer_volumes(case, int(np.prod(tiny.shape)))}
    packed = nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(volumes["probability"].nifti)))
    np.testing.assert_allclose(np.asarray(packed.dataobj) / 255, case.maps["probability"], atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("classes", [(), ("MS", "NMOSD", "control")])
@pytest.mark.parametrize("lesions", [(), LESIONS])
def test_every_kind_of_network_and_scan_has_a_page_and_a_pdf_of_one_sheet(predicted, tmp_path, classes, lesions):
    case = predicted(classes=classes, lesions=lesions, model={"variant": "joint", "temperature": 1.5})
    text = page_of(case, tmp_path)
    assert ("It gives no diagnosis" in text) == (not classes)
    assert ("Temperature" in text) == bool(classes)
    assert ("No lesion found" in text) == (not lesions)
    assert ("Lesion table" in text) == bool(lesions)
    assert ('id="volume-location"' in text) == bool(classes)
    assert all(f"<span>{name}</span>" in text for name in classes)
    path = tmp_path / "page.pdf"
    write_case_pdf(summary_of(case), write_case_page(case, tmp_path / "again.html"), path)
    content = path.read_bytes()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", content)) == 1


def test_an_undecided_diagnosis_is_shown_with_its_reasons_and_spread(predicted, tmp_path):
    reasons = ["the probability of MS is 0.55, below 0.60"]
    case = predicted(diagnosis="indeterminate", reasons=reasons, disease_disagreement={"MS": 0.1, "NMOSD": 0.1})
    text = page_of(case, tmp_path)
    assert "Indeterminate" in text
    assert reasons[0] in text
    assert "± 0.10" in text


def test_the_index_lists_all_scans_with_thumbnails_and_working_links(predicted, tmp_path):
    from urllib.parse import unquote

    names = ["p10", "p2", "100% & #1", "index"]
    for name in names:
        write_case_page(predicted(name), page_path(tmp_path / "findings", name))
    text = write_index(tmp_path / "findings").read_text()
    links = re.findall(r'<a href="([^"]+)">', text)
    assert [unquote(link) for link in links] == ["100% & #1.html", "index_.html", "p2.html", "p10.html"]
    assert all((tmp_path / "findings" / unquote(link)).is_file() for link in links)
    assert text.count('class="thumb"') == 4
    assert write_index(tmp_path) is None


def test_the_viewers_library_is_the_release_that_its_notes_name():
    folder = files("joint_seg_cls.casepage").joinpath("niivue")
    library = gzip.decompress(folder.joinpath("niivue.umd.js.gz").read_bytes())
    assert hashlib.sha256(library).hexdigest() in folder.joinpath("README.md").read_text()
    assert "BSD 2-Clause" in folder.joinpath("LICENSE").read_text()


def test_every_modality_is_on_the_page_in_the_place_of_the_first(predicted, tiny, tmp_path):
    """The second modality has a grid of its own and is shifted; its dark lesion lies where the first one's is."""
    predicted()
    scans = [read_scan(path) for path in (tmp_path / "p1.nii.gz", tiny.write_second(tmp_path / "findings", "p1"))]
    case = read_case(tmp_path / "findings" / "p1.json", scans[0], scans[1:], ("flair", "t1"))
    text = page_of(case, tmp_path)
    volumes = data_of(text)["volumes"]
    assert [volume["key"] for volume in volumes if volume["is_image"]] == ["image", "image-2"]
    assert [volume["is_visible"] for volume in volumes if volume["is_image"]] == [True, False]
    first, second = (volume_of(text, key) for key in ("image", "image-2"))
    np.testing.assert_array_equal(first.affine, second.affine)
    lesions = np.asarray(volume_of(text, "lesions").dataobj)
    values = np.asarray(second.dataobj)
    assert np.median(values[lesions == 1]) < 0.4 * np.median(values[lesions == 2])
    assert re.findall(r'data-image="([^"]+)"[^>]*> (\w+)</label>', text) == [("image", "FLAIR"), ("image-2", "T1")]
    assert text.count('alt="The same slice of T1"') == 12
    assert "FLAIR; below it the same slice of T1." in text


def test_regions_trust_and_explanation_of_a_record_are_shown(predicted, tmp_path):
    recovery = {"below 100 mm3": {"injected": 12, "found": 9, "share": 0.75, "low": 0.47, "high": 0.91}}
    explanation = {
        "location_map": {"lesion_share": 0.4, "enrichment": 30.0, "shuffled_similarity": None},
        "deletion": {"fall": 0.31, "control_fall": 0.02},
    }
    case = predicted(
        trust={"grade": "B", "recovery": recovery, "reason": None, "seconds": 9.0},
        explanation=explanation,
        regions={"L1": "periventricular"},
        criteria={"dawson_finger": {"value": "true", "lesions": [2]}, "u_fibre": {"value": "unknown", "lesions": []}},
    )
    text = page_of(case, tmp_path)
    assert re.search(r"Dawson&#39;s finger</td><td[^>]*>yes</td><td[^>]*>2</td>", text)
    withheld = predicted("p2", registration={"withheld": "the brain is cut off"})
    assert "the brain is cut off" in page_of(withheld, tmp_path)
    for expected in (
        "Grade B",
        "9 of 12",
        "47 to 91 %",
        "falls by 0.31",
        "0.40",
        "periventricular",
        "deep white matter",
    ):
        assert expected in text
