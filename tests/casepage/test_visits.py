"""Two visits of one person: lesions are matched across a movement of the head."""

import json
import re
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from joint_seg_cls.casepage import compare_visits, read_case
from joint_seg_cls.scan import read_scan

#: Lower corners and sides of lesions at the later visit, on the grid of the earlier: L1 gone, L2 grown, L3 unchanged.
LATER = (((25, 28, 18), (4, 4, 4)), ((16, 24, 9), (2, 2, 2)), ((14, 30, 20), (3, 3, 3)))
#: The head is moved by this between the visits.
TURN = np.array(
    [
        [np.cos(0.06), -np.sin(0.06), 0, 3.0],
        [np.sin(0.06), np.cos(0.06), 0, -2.0],
        [0, 0, 1, 1.5],
        [0, 0, 0, 1],
    ]
)


def moved(folder, name):
    """Move a scan and its findings in space by their headers: the head lies elsewhere in the scanner."""
    for file in (folder.parent / f"{name}.nii.gz", *folder.glob(f"{name}_*.nii.gz")):
        image = nib.load(file)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), TURN @ image.affine), file)
    table = folder / f"{name}_lesions.tsv"
    rows = pd.read_csv(table, sep="\t")
    names = [f"centroid_{axis}_mm" for axis in "xyz"]
    rows[names] = rows[names].to_numpy() @ TURN[:3, :3].T + TURN[:3, 3]
    rows.to_csv(table, sep="\t", index=False)


@pytest.fixture(scope="module")
def findings(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("visits") / "findings"
    tiny.write(folder, "first")
    tiny.write(folder, "second", lesions=LATER)
    moved(folder, "second")
    return folder


def visit(folder, name):
    scan = read_scan(folder.parent / f"{name}.nii.gz")
    return read_case(folder / f"{name}.json", scan), scan


@pytest.fixture(scope="module")
def compared(findings):
    return compare_visits(visit(findings, "first"), visit(findings, "second"))


def test_lesions_are_new_grown_gone_or_stable_after_registration(compared, tiny):
    found = {change.kind: change for change in compared.lesions}
    assert [change.kind for change in compared.lesions] == ["new", "grown", "gone", "stable"]
    assert found["gone"].before == ("L1",)
    assert found["grown"].before == ("L2",)
    assert found["stable"].before == ("L3",)
    voxel_ml = abs(np.linalg.det(tiny.affine[:3, :3])) / 1000
    np.testing.assert_allclose([found["grown"].before_ml, found["grown"].after_ml], [27 * voxel_ml, 64 * voxel_ml])
    np.testing.assert_allclose([found["new"].before_ml, found["new"].after_ml], [0, 27 * voxel_ml])


def test_the_movement_of_the_head_is_found(compared):
    assert abs(compared.rotation_degrees - np.degrees(0.06)) < 1
    assert compared.is_reliable


def test_rows_are_drawn_where_the_lesions_are_now_and_where_those_that_are_gone_were(compared, tiny):
    rows = {change.kind: row for row, change in enumerate(compared.lesions, start=1)}
    for kind, name in (("gone", "L1"), ("stable", "L3")):
        index = np.argwhere(compared.now.labels == rows[kind])
        centre = (compared.now.grid.affine @ [*index.mean(axis=0), 1])[:3]
        expected = (TURN @ [*tiny.centre_mm(tiny.masks[name]), 1])[:3]
        assert np.linalg.norm(centre - expected) < 2.5


def test_a_scan_compared_with_itself_has_not_changed(findings):
    one = visit(findings, "first")
    same = compare_visits(one, one)
    assert {change.kind for change in same.lesions} == {"stable"}
    assert same.correlation == pytest.approx(1, abs=1e-3)


def test_the_command_writes_a_page_and_a_table(findings, jsc, tmp_path):
    scans = f"input=[{findings.parent / 'first.nii.gz'},{findings.parent / 'second.nii.gz'}]"
    code, _, err = jsc("compare", scans, f"findings={findings}", f"out={tmp_path}")
    assert code == 0, err
    assert "1 new, 1 grown, 1 gone" in err
    table = pd.read_csv(tmp_path / "second_since_first.tsv", sep="\t", keep_default_na=False)
    assert list(table["change"]) == ["new", "grown", "gone", "stable"]
    text = (tmp_path / "second_since_first.html").read_text()
    assert "second" in text
    assert "Earlier scan" in text
    cohort = findings.parent / "cohort.tsv"
    cohort.write_text("subject\tsession\tflair\np\t2\tsecond.nii.gz\np\t10\tfirst.nii.gz\n")
    code, _, err = jsc("compare", f"input={cohort}", f"findings={findings}", f"out={tmp_path}")
    assert code == 2
    assert "predict these scans into this folder with jsc predict" in err


def test_all_modalities_of_both_visits_are_on_the_page(findings, jsc, tmp_path):
    here = shutil.copytree(findings.parent, tmp_path / "two")
    pairs = []
    for name in ("first", "second"):
        image = nib.load(here / f"{name}.nii.gz")
        other = here / f"{name}_t1.nii.gz"
        nib.save(nib.Nifti1Image(np.max(image.dataobj) - np.asarray(image.dataobj), image.affine), other)
        pairs.append(f"[{here / f'{name}.nii.gz'},{other}]")
    words = ("compare", f"input=[{','.join(pairs)}]", f"findings={here / findings.name}", f"out={tmp_path / 'out'}")
    code, _, err = jsc(*words)
    assert code == 2
    assert "1 file a visit: flair" in err
    code, _, err = jsc(*words, "modality=[flair,t1]")
    assert code == 0, err
    page = (tmp_path / "out" / "second_since_first.html").read_text()
    keys = [each["key"] for each in json.loads(re.search(r'id="page-data">(.*?)</script>', page)[1])["volumes"]]
    assert keys == ["image", "image-2", "earlier", "earlier-2", "lesions"]
    for title in ("FLAIR", "T1", "Earlier scan", "Earlier T1"):
        assert f"{title}</label>" in page


def test_two_visits_of_a_control_without_lesions_have_a_page_and_an_empty_table(tiny, jsc, tmp_path):
    scans = [
        tiny.write(tmp_path / "findings", name, lesions=(), classes=("control", "MS", "NMOSD")) for name in ("a", "b")
    ]
    words = (f"input=[{scans[0]},{scans[1]}]", f"findings={tmp_path / 'findings'}", f"out={tmp_path / 'out'}")
    code, _, err = jsc("compare", *words)
    assert code == 0, err
    assert "0 new, 0 grown, 0 gone" in err
    assert pd.read_csv(tmp_path / "out" / "b_since_a.tsv", sep="\t").empty
    page = (tmp_path / "out" / "b_since_a.html").read_text()
    assert "<tr data-lesion" not in page
    assert "Evenly spread slices: above" in page
    assert re.search(r"Diagnosis \(probability\)</th>(<td[^>]*>control \(0\.50\)</td>){2}", page)


def test_the_remedy_for_a_single_scan_compares_two(tiny, jsc, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("visit1", "visit2"):
        tiny.write(tmp_path / "findings", name)
    code, _, err = jsc("compare", "input=visit1.nii.gz", "findings=findings", "out=out")
    assert code == 2
    code, _, err = jsc("compare", re.findall(r"input=\[.*?\]", err)[0], "findings=findings", "out=out")
    assert code == 0, err
    assert (tmp_path / "out" / "visit2_since_visit1.tsv").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("input=[a.nii.gz]",), "expected two scans, the earlier first, found 1"),
        (("input=a.nii.gz",), "expected two scans or a cohort table"),
        (("input=[a.nii.gz,b.nii.gz]",), "found none of a, b"),
        (("input=[1/a.nii.gz,2/a.nii.gz]",), "expected two scans of different names, found a twice"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(jsc, tmp_path, words, message):
    code, _, err = jsc("compare", *words, f"findings={tmp_path}")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def two(findings, tmp_path, jsc):
    """Return the folder of a copy of the findings, and a function that compares them."""
    for name in ("first", "second"):
        shutil.copy(findings.parent / f"{name}.nii.gz", tmp_path)
    folder = shutil.copytree(findings, tmp_path / "findings")

    def run(*words):
        scans = f"input=[{tmp_path / 'first.nii.gz'},{tmp_path / 'second.nii.gz'}]"
        code, _, err = jsc("compare", scans, f"findings={folder}", f"out={tmp_path / 'out'}", *words)
        return code, err

    return folder, run


def edit(path, **changes):
    record = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in record.items() if value is not None}))


DAMAGES = {
    "a mask that is gone": (lambda folder: (folder / "second_lesions.nii.gz").unlink(), "second_lesions.nii.gz"),
    "a mask that is cut": (
        lambda folder: (folder / "second_lesions.nii.gz").write_bytes(b"\x1f\x8b" + bytes(40)),
        "second_lesions.nii.gz",
    ),
    "a table that is gone": (lambda folder: (folder / "second_lesions.tsv").unlink(), "found no such file"),
    "a table that is damaged": (lambda folder: (folder / "second_lesions.tsv").write_bytes(b"\0\xff\n"), "table"),
    "a table of other cells": (
        lambda folder: (folder / "second_lesions.tsv").write_text(
            re.sub(r"\t[0-9.]+", "\t=A1", (folder / "second_lesions.tsv").read_text())
        ),
        "found a cell that is no number",
    ),
    "lesions that are not counted": (
        lambda folder: edit(folder / "second.json", lesion_count=9),
        "the table of 9 lesions that the record counts",
    ),
    "another folder in a name": (
        lambda folder: edit(folder / "second.json", id="../../second"),
        "expected the record of a prediction",
    ),
    "another scan": (
        lambda folder: edit(folder / "second.json", made_from={"images": ["0"]}),
        "found another content; name that scan, or predict this one",
    ),
    "a network that only classifies": (
        lambda folder: edit(folder / "second.json", lesion_count=None, lesion_volume_ml=None),
        "predict the scans with a network that segments lesions",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_findings_that_are_damaged_or_of_another_scan_are_not_compared(two, damage, tmp_path):
    folder, run = two
    spoil, message = DAMAGES[damage]
    spoil(folder)
    code, err = run()
    assert (code, message in err, err.count("error: ")) == (2, True, 1), err
    assert list(tmp_path.rglob("*since*")) == []


@pytest.mark.parametrize("name", ["second_since_first.tsv", "second_since_first.html"])
def test_a_comparison_replaces_no_file_of_other_origin(two, tmp_path, name):
    _, run = two
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("change of address\n")
    code, err = run()
    assert (code, "a file of other origin" in err) == (2, True)
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["change of address\n"]


def test_doubts_about_a_comparison_are_on_its_page_and_in_the_terminal(two, tmp_path):
    folder, run = two
    scan = nib.load(tmp_path / "first.nii.gz")
    data = np.random.default_rng(0).permutation(np.asarray(scan.dataobj)[::-1].ravel()).reshape(scan.shape)
    nib.save(
        nib.Nifti1Image(data * (np.asarray(scan.dataobj) > 0) + 1e-3 * data, scan.affine), tmp_path / "first.nii.gz"
    )
    edit(
        folder / "first.json", model={"sha256": "another"}, warnings=["first.nii.gz has thick slices", "at /a b/c.nii"]
    )
    code, err = run("hide_names=true")
    assert code == 0, err
    text = (tmp_path / "out" / "second_since_first.html").read_text()
    for doubt in ("do not rely on the changes", "The visits were segmented by different networks"):
        assert doubt in err
        assert doubt in text
    assert "Earlier scan: Scan has thick slices" in text
    assert "Earlier scan: at c.nii" in text
    assert not re.findall('first.nii|second.nii|>first<|>second<|="(?:first|second)"', text)
