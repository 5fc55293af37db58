"""A second visit that is truly another image: the head lies elsewhere, on voxels of another size and direction.

Both images sample one head, given in millimetres, so that every change between the visits is known.
"""

import json
import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from joint_seg_cls.casepage import compare_visits, read_case
from joint_seg_cls.lesions import lesion_table
from joint_seg_cls.scan import Grid, read_scan

#: Radii in millimetres of lesions at the two visits by their centres in the head; 0 is no lesion. The first new lesion
#: is 5 mm from the edge of the stable one.
LESIONS = {
    "stable": ((-22, 10, 18), 4.0, 4.0),
    "grown": ((24, -18, 14), 3.5, 5.5),
    "gone": ((20, 22, -14), 4.0, 0.0),
    "new": ((-22, 23, 18), 0.0, 4.0),
    "new, far": ((-16, -34, 4), 0.0, 3.0),
}
#: Axes of the two grids: voxels of 1.5 mm, then slices of 3 mm along another axis order.
FIRST = ((100, 120, 92), np.array([[-1.5, 0, 0, 74], [0, 1.5, 0, -88], [0, 0, 1.5, -68], [0, 0, 0, 1.0]]))
SECOND = ((150, 122, 56), np.array([[0, -1.2, 0.1, 72], [-1.2, 0, 0.3, 88], [0, 0.12, 3, -84], [0, 0, 0, 1.0]]))
#: The head turns about two axes and is shifted between the visits.
NOD, TURN, SHIFT_MM = np.radians(7), np.radians(-5), (6.0, -4.0, 5.0)
CENTRE_MM = (SECOND[1] @ [*((np.array(SECOND[0]) - 1) / 2), 1])[:3]


def movement():
    nod = np.array([[1, 0, 0], [0, np.cos(NOD), -np.sin(NOD)], [0, np.sin(NOD), np.cos(NOD)]])
    turn = np.array([[np.cos(TURN), -np.sin(TURN), 0], [np.sin(TURN), np.cos(TURN), 0], [0, 0, 1]])
    move = np.eye(4)
    move[:3, :3], move[:3, 3] = turn @ nod, SHIFT_MM
    return move


def sampled(shape, affine, visit):
    """Return the image and the lesion mask of a visit, computed at the voxels' positions in the head."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    to_head = np.linalg.inv(movement() if visit else np.eye(4)) @ affine
    x, y, z = np.moveaxis(index @ to_head[:3, :3].T + to_head[:3, 3], -1, 0)
    depth = (x / 62) ** 2 + (y / 76) ** 2 + (z / 56) ** 2
    folds = np.sin(x / 5 + 1) * np.sin(y / 6) * np.sin(z / 5 + 2)
    image = np.where(depth < 0.75, 100 + 6 * folds, 125 + 25 * folds)
    image[((np.abs(x) - 9) / 6) ** 2 + ((y + 4) / 26) ** 2 + ((z - 8) / 8) ** 2 < 1] = 40  # ventricles
    mask = np.zeros(shape, bool)
    for centre, *radii in LESIONS.values():
        mask |= np.linalg.norm(np.stack([x, y, z], axis=-1) - centre, axis=-1) < radii[visit]
    image[mask] = 170
    noise = np.random.default_rng(visit).normal(0, 4, shape)
    return np.where(depth < 1, image + noise, 0).astype(np.float32), mask


def coarser(shape, affine, by):
    """Return a grid with voxels that are larger by these factors, from the same first voxel."""
    return tuple(int(n / factor) for n, factor in zip(shape, by, strict=True)), affine * [*by, 1]


def write(folder, name, shape, affine, visit):
    """Write the findings of a visit as `jsc predict` writes them, from the true mask."""
    image, mask = sampled(shape, affine, visit)
    nib.save(nib.Nifti1Image(image, affine), folder.parent / f"{name}.nii.gz")
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine), folder / f"{name}_lesions.nii.gz")
    table = lesion_table(mask, Grid(shape, affine))
    table.to_csv(folder / f"{name}_lesions.tsv", sep="\t", index=False)
    record = {"id": name, "scan": f"{name}.nii.gz", "brain_volume_ml": 1100.0, "warnings": [],
              "lesion_count": len(table), "lesion_volume_ml": float(table["volume_ml"].sum()),
              "model": {"variant": "joint"}}  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(record))


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    """Findings of both visits."""
    folder = tmp_path_factory.mktemp("visits") / "findings"
    folder.mkdir()
    write(folder, "before", *FIRST, 0)
    write(folder, "after", *SECOND, 1)
    return folder


def ids(findings, visit, name=None):
    """Return the id of each lesion of a visit by its name in ``LESIONS``, found by the nearest centre."""
    table = pd.read_csv(findings / f"{name or ('before', 'after')[visit]}_lesions.tsv", sep="\t")
    centres = table[[f"centroid_{axis}_mm" for axis in "xyz"]].to_numpy()
    there = {name: each[0] for name, each in LESIONS.items() if each[1 + visit]}
    moved = {name: now_mm(name) if visit else np.array(centre) for name, centre in there.items()}
    found = {name: int(np.linalg.norm(centres - centre, axis=1).argmin()) for name, centre in moved.items()}
    assert sorted(found.values()) == list(range(len(table)))
    return {name: str(table["lesion"][row]) for name, row in found.items()}


def now_mm(name):
    return (movement() @ [*LESIONS[name][0], 1])[:3]


def compare(findings, *names):
    visits = []
    for name in names:
        scan = read_scan(findings.parent / f"{name}.nii.gz")
        visits.append((read_case(findings / f"{name}.json", scan), scan))
    return compare_visits(*visits)


@pytest.fixture(scope="module")
def compared(findings):
    return compare(findings, "before", "after")


def test_the_movement_between_the_images_is_measured(compared):
    expected = np.degrees(np.arccos((np.trace(movement()[:3, :3]) - 1) / 2))
    assert expected > 8
    assert compared.rotation_degrees == pytest.approx(expected, abs=0.5)
    shift_mm = np.linalg.norm((movement() @ [*CENTRE_MM, 1])[:3] - CENTRE_MM)
    back_mm = np.linalg.norm((np.linalg.inv(movement()) @ [*CENTRE_MM, 1])[:3] - CENTRE_MM)
    assert min(shift_mm, back_mm) > 5
    assert compared.shift_mm == pytest.approx(back_mm, abs=0.7)
    assert compared.is_reliable


def test_every_new_grown_and_gone_lesion_is_found_where_it_is_and_no_other(compared, findings):
    before, after = ids(findings, 0), ids(findings, 1)
    expected = {
        ("new", (), (after["new"],)),
        ("new", (), (after["new, far"],)),
        ("grown", (before["grown"],), (after["grown"],)),
        ("gone", (before["gone"],), ()),
        ("stable", (before["stable"],), (after["stable"],)),
    }
    assert {(change.kind, change.before, change.after) for change in compared.lesions} == expected
    for row, change in enumerate(compared.lesions, start=1):
        name = next(
            name for name in LESIONS if (before.get(name) in change.before) or (after.get(name) in change.after)
        )
        index = np.argwhere(compared.now.labels == row)
        centre = (compared.now.grid.affine @ [*index.mean(axis=0), 1])[:3]
        assert np.linalg.norm(centre - now_mm(name)) < 2, name


def test_the_table_and_the_page_name_exactly_these(findings, jsc, tmp_path):
    scans = ",".join(str(findings.parent / f"{name}.nii.gz") for name in ("before", "after"))
    code, _, err = jsc("compare", f"input=[{scans}]", f"findings={findings}", f"out={tmp_path}")
    assert code == 0, err
    assert "2 new, 1 grown, 1 gone" in err
    table = pd.read_csv(tmp_path / "after_since_before.tsv", sep="\t", keep_default_na=False, dtype=str)
    before, after = ids(findings, 0), ids(findings, 1)
    rows = [
        ("new", "", after["new"]),
        ("new", "", after["new, far"]),
        ("grown", before["grown"], after["grown"]),
        ("gone", before["gone"], ""),
        ("stable", before["stable"], after["stable"]),
    ]
    assert list(table[["change", "lesions_before", "lesions_after"]].itertuples(index=False, name=None)) == rows
    page = (tmp_path / "after_since_before.html").read_text()
    shown = [re.findall(r"<td[^>]*>(?:<button[^>]*>)?([^<]*)", row)[:3] for row in page.split("<tr data-lesion")[1:]]
    assert shown == [[kind.capitalize(), one or "–", other or "–"] for kind, one, other in rows]
    counts = {kind: int(count) for count, kind in re.findall(r"<li><b>(\d+)</b> <i[^>]*></i>(\w+)", page)}
    assert {kind: count for kind, count in counts.items() if count} == {"new": 2, "grown": 1, "gone": 1, "stable": 1}
    data = json.loads(re.search(r'id="page-data">(.*?)</script>', page)[1])
    for point, name in zip(data["lesions"], ("new", "new, far", "grown", "gone", "stable"), strict=True):
        assert np.linalg.norm(np.array(point) - now_mm(name)) < 2.5, name


def test_a_lesion_outside_the_other_field_of_view_is_neither_gone_nor_new(findings):
    """A later scan that ends below some lesions of the earlier one, and the other way round."""
    slices = 30
    (columns, rows, _), affine = coarser(*SECOND, (1.5, 1.5, 1))  # which is registered in half the time
    write(findings, "part", (columns, rows, slices), affine, 1)
    write(findings, "whole", *coarser(*FIRST, (1.5, 1.5, 1.5)), 0)
    inside = {name: np.linalg.solve(affine, [*now_mm(name), 1])[2] < slices - 0.5 for name in LESIONS}
    before = ids(findings, 0, "whole")
    missed = {before[name] for name in before if not inside[name]}
    assert 0 < len(missed) < len(before)
    changes = compare(findings, "whole", "part").lesions
    assert {each for change in changes if change.kind == "unseen" for each in change.before} == missed
    assert [change.kind for change in changes if change.kind in ("new", "gone")] == [
        kind for kind, name in (("new", "new"), ("new", "new, far"), ("gone", "gone")) if inside[name]
    ]
    changes = compare(findings, "part", "whole").lesions
    assert {each for change in changes if change.kind == "unseen" for each in change.after} == missed
