"""Round trips to the network's grid: shapes and positions are preserved, and written files have the scan's header."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joint_seg_cls.scan import Geometry, Grid, read_scan, write_volume

AXES = st.sampled_from(["RAS", "LPS", "LAS", "PIR", "SRA", "AIL", "ILP"])
unit = st.floats(0.0, 1.0)


def rotation(angles):
    (a, b, c) = angles
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return x @ y @ z


@st.composite
def geometries(draw, side_mm=24.0):
    """A scan's grid (oblique, flipped, anisotropic) and the network's in it (cropped, resized), voxels up to 1 mm."""
    spacing = np.array([draw(st.floats(0.4, 1.0)) for _ in range(3)])
    degrees = np.array([draw(st.floats(-40, 40)) for _ in range(3)])
    signed = nib.orientations.inv_ornt_aff(nib.orientations.axcodes2ornt(draw(AXES)), (1, 1, 1))[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = rotation(np.radians(degrees)) @ np.round(signed) @ np.diag(spacing)
    affine[:3, 3] = [draw(st.floats(-80, 80)) for _ in range(3)]
    cut = [(draw(st.integers(0, 4)), draw(st.integers(0, 4))) for _ in range(3)]
    x, y, z = (int(np.ceil(side_mm / mm)) + 8 for mm in spacing)
    native = Grid((x, y, z), affine)
    canonical = native.canonical()
    start = tuple(a for a, _ in cut)
    stop = tuple(n - b for n, (_, b) in zip(canonical.shape, cut, strict=True))
    box = canonical.cropped(start, stop)
    coarsest = [int(np.ceil(n * mm - 1e-9)) for n, mm in zip(box.shape, box.spacing_mm, strict=True)]
    x, y, z = (n + draw(st.integers(0, 20)) for n in coarsest)
    return Geometry(native, box.resized((x, y, z)))


def millimetres(grid):
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    return index @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def middle_of(grid, shift):
    return (grid.affine @ [*((np.array(grid.shape) - 1) / 2 + shift), 1.0])[:3]


def overlap(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@settings(max_examples=80, deadline=None)
@given(
    geometry=geometries(),
    volume_ml=st.floats(1.0, 1.4),
    ratios=st.tuples(st.floats(1, 2), st.floats(1, 2)),
    angles=st.tuples(*[st.floats(-np.pi, np.pi)] * 3),
    shift=st.tuples(*[st.floats(-0.5, 0.5)] * 3),
)
def test_a_lesion_of_one_millilitre_survives_the_round_trip(geometry, volume_ml, ratios, angles, shift):
    assert max(*geometry.native.spacing_mm, *geometry.model.spacing_mm) <= 1 + 1e-6
    radii = np.array([1.0, *ratios])
    radii *= (1000 * volume_ml / (4 / 3 * np.pi * radii.prod())) ** (1 / 3)
    offset = (millimetres(geometry.native) - middle_of(geometry.model, shift)) @ rotation(angles)
    lesion = ((offset / radii) ** 2).sum(axis=-1) <= 1
    assert lesion.sum() * geometry.native.voxel_ml >= 0.98
    back = geometry.to_native(geometry.to_model(lesion, linear=False), linear=False)
    assert overlap(lesion, back) >= 0.90
    moved = np.argwhere(back).mean(axis=0) - np.argwhere(lesion).mean(axis=0)
    assert np.linalg.norm(moved) < 1  # native voxels
    # the network's output is mapped back as probabilities and thresholded at one half
    probability = geometry.to_model(lesion.astype(np.float32), linear=True)
    assert overlap(lesion, geometry.to_native(probability, linear=True) >= 0.5) >= 0.97


@settings(max_examples=40, deadline=None)
@given(geometry=geometries(), shift=st.tuples(*[st.floats(-3, 3)] * 3))
def test_a_position_is_restored_within_a_native_voxel(geometry, shift):
    place = middle_of(geometry.model, shift)
    grids = {"native": geometry.native, "model": geometry.model}
    spots = {n: np.exp(-((millimetres(g) - place) ** 2).sum(-1) / 8).astype(np.float32) for n, g in grids.items()}
    returned = {
        "native": geometry.to_native(spots["model"], linear=True),
        "model": geometry.to_model(spots["native"], linear=True),
    }
    for name, spot in returned.items():
        weight = np.where(spot > 0.2, spot, 0)[..., None]
        found = (millimetres(grids[name]) * weight).sum(axis=(0, 1, 2)) / weight.sum()
        off = np.linalg.solve(geometry.native.affine[:3, :3], found - place)
        assert np.linalg.norm(off) < 1, name
        assert np.linalg.norm(found - place) < 0.2, name


@settings(max_examples=40, deadline=None)
@given(geometry=geometries())
def test_the_cropped_share_is_a_fraction_of_volume(geometry):
    inside = np.linalg.solve(
        geometry.model.affine,
        np.c_[millimetres(geometry.native).reshape(-1, 3), np.ones(np.prod(geometry.native.shape))].T,
    )
    middle = (np.array(geometry.model.shape)[:, None] - 1) / 2
    seen = (np.abs(inside[:3] - middle) <= middle + 0.5 + 1e-9).all(axis=0)
    assert geometry.cropped_share == pytest.approx(1 - seen.mean(), abs=1e-6)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("units", [("mm", "sec"), ("unknown", "unknown")])
@pytest.mark.parametrize(
    "codes", [(1, 0), (0, 1), (1, 1), (2, 4), (0, 0)], ids=lambda codes: f"q{codes[0]}-s{codes[1]}"
)
def test_written_files_keep_the_scans_forms_codes_and_units(affine, tmp_path, kind, units, codes):
    data = np.random.default_rng(0).random((7, 9, 5)).astype(np.float32)
    image = kind(data, affine)
    other = affine.copy()
    other[:3, 3] += 0.3  # the two forms of a header may differ
    image.set_qform(other if codes[0] else None, codes[0])
    image.set_sform(affine if codes[1] else None, codes[1])
    image.header.set_xyzt_units(*units)
    nib.save(image, tmp_path / "scan.nii.gz")
    scan = read_scan(tmp_path / "scan.nii.gz")
    source = nib.load(tmp_path / "scan.nii.gz")
    for dtype in (np.uint8, np.float32):
        write_volume(tmp_path / "out.nii.gz", (data > 0.5).astype(dtype), scan)
        written = nib.load(tmp_path / "out.nii.gz")
        assert type(written) is kind
        assert written.get_data_dtype() == dtype
        np.testing.assert_array_equal(np.asarray(written.dataobj), data > 0.5)
        np.testing.assert_array_equal(written.affine, source.affine)
        names = ["qform_code", "sform_code", "xyzt_units", "pixdim", "dim"]
        names += [f"{form}_{axis}" for form in ("srow",) for axis in "xyz"]
        names += ["quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"]
        for name in names:
            np.testing.assert_array_equal(written.header[name], source.header[name], err_msg=name)


@pytest.mark.parametrize(("unit", "millimetres_each"), [("meter", 1000), ("micron", 0.001), ("mm", 1), ("unknown", 1)])
def test_headers_in_other_units_are_read_in_millimetres_and_kept_on_writing(affine, tmp_path, unit, millimetres_each):
    own = affine.copy()
    own[:3] /= millimetres_each
    image = nib.Nifti1Image(np.random.default_rng(0).random((7, 9, 5)).astype(np.float32), own)
    image.header.set_xyzt_units(unit, "sec")
    nib.save(image, tmp_path / "scan.nii.gz")
    scan = read_scan(tmp_path / "scan.nii.gz")
    np.testing.assert_allclose(scan.grid.spacing_mm, (0.9, 1.1, 3.0), rtol=1e-5)
    write_volume(tmp_path / "out.nii.gz", np.ones((7, 9, 5), np.uint8), scan)
    written, source = nib.load(tmp_path / "out.nii.gz"), nib.load(tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(written.affine, source.affine)
    assert written.header.get_xyzt_units() == (unit, "sec")
    assert (written.header["sform_code"], written.header["qform_code"]) == (
        source.header["sform_code"],
        source.header["qform_code"],
    )


def test_patient_data_in_a_header_is_not_copied(affine, tmp_path):
    image = nib.Nifti1Image(np.random.default_rng(0).random((7, 9, 5)).astype(np.float32), affine)
    for field in ("descrip", "aux_file", "db_name", "intent_name"):
        image.header[field] = b"Doe Jane"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Doe Jane"))
    nib.save(image, tmp_path / "scan.nii")
    assert b"Doe" in (tmp_path / "scan.nii").read_bytes()
    write_volume(tmp_path / "out.nii.gz", np.ones((7, 9, 5), np.uint8), read_scan(tmp_path / "scan.nii"))
    nib.save(nib.load(tmp_path / "out.nii.gz"), tmp_path / "out.nii")
    assert b"Doe" not in (tmp_path / "out.nii").read_bytes()
