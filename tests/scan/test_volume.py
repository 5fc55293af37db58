"""Volumes: voxels and header are read correctly, and invalid files are refused in one sentence."""

import gzip
import json
import re

import nibabel as nib
import numpy as np
import pytest

from joint_seg_cls.errors import ScanError
from joint_seg_cls.scan import read_mask, read_scan, write_volume

SHAPE = (7, 9, 5)


@pytest.fixture
def data():
    return np.random.default_rng(0).random(SHAPE).astype(np.float32) + 1


def sentence(error):
    """The parts that every refusal must have."""
    text = str(error.value)
    assert "expected" in text
    assert "found" in text
    assert "\n" not in text
    return text


def test_scan_keeps_values_grid_and_spacing(save, data, affine):
    scan = read_scan(save("scan.nii.gz", data, affine))
    np.testing.assert_array_equal(scan.data, data)
    np.testing.assert_allclose(scan.grid.affine, affine, atol=1e-5)
    np.testing.assert_allclose(scan.grid.spacing_mm, (0.9, 1.1, 3.0), rtol=1e-5)


def test_a_single_trailing_volume_is_a_3d_scan(save, data, affine):
    assert read_scan(save("scan.nii", data[..., None], affine)).data.shape == SHAPE


@pytest.mark.parametrize("codes", [(0, 1), (1, 0), (1, 1), (2, 4)])
def test_written_volume_has_the_scans_header(save, data, affine, tmp_path, codes):
    image = nib.Nifti1Image(data, affine)
    image.set_qform(affine, code=codes[0])
    image.set_sform(affine if codes[1] else None, code=codes[1])
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, tmp_path / "scan.nii.gz")
    scan = read_scan(tmp_path / "scan.nii.gz")
    write_volume(tmp_path / "mask.nii.gz", (data > 1.5).astype(np.uint8), scan)
    source, written = nib.load(tmp_path / "scan.nii.gz"), nib.load(tmp_path / "mask.nii.gz")
    assert written.shape == source.shape
    np.testing.assert_array_equal(written.affine, source.affine)
    for name in ("qform_code", "sform_code", "xyzt_units", "srow_x", "quatern_b", "qoffset_x"):
        np.testing.assert_array_equal(written.header[name], source.header[name], err_msg=name)
    np.testing.assert_array_equal(np.asarray(written.dataobj), data > 1.5)
    assert written.get_data_dtype() == np.uint8
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


def test_mask_values_near_one_are_rounded(save, data, affine):
    scan = read_scan(save("scan.nii.gz", data, affine))
    mask = (data > 1.5).astype(np.float32) * 1.0000153
    np.testing.assert_array_equal(read_mask(save("mask.nii.gz", mask, affine), scan.grid), data > 1.5)


def test_mask_with_other_axes_is_reoriented_to_the_scan(save, data, affine):
    scan = read_scan(save("scan.nii.gz", data, affine))
    turned = nib.as_closest_canonical(nib.Nifti1Image((data > 1.5).astype(np.uint8), affine))
    assert turned.shape == SHAPE
    path = save("mask.nii.gz", np.asarray(turned.dataobj), turned.affine)
    np.testing.assert_array_equal(read_mask(path, scan.grid), data > 1.5)


def test_mask_within_half_a_voxel_is_accepted(save, data, affine):
    scan = read_scan(save("scan.nii.gz", data, affine))
    moved = affine.copy()
    moved[0, 3] += 0.45
    assert read_mask(save("mask.nii.gz", (data > 1.5).astype(np.uint8), moved), scan.grid).any()


@pytest.mark.parametrize("change", ["moved", "shape"])
def test_mask_on_another_grid_is_refused(save, data, affine, change):
    scan = read_scan(save("scan.nii.gz", data, affine))
    moved = affine.copy()
    moved[2, 3] += 4 if change == "moved" else 0
    mask = np.zeros((7, 9, 5 if change == "moved" else 6), np.uint8)
    path = save("mask.nii.gz", mask, moved)
    with pytest.raises(ScanError) as error:
        read_mask(path, scan.grid)
    assert "mask.nii.gz" in sentence(error)
    assert "resample" in sentence(error)


@pytest.mark.parametrize("values", [(0, 2), (0, 255), (0, 1, 2), (0.0, 0.4)])
def test_mask_with_other_values_is_refused(save, data, affine, values):
    scan = read_scan(save("scan.nii.gz", data, affine))
    mask = np.resize(np.array(values, np.float32), SHAPE)
    with pytest.raises(ScanError) as error:
        read_mask(save("mask.nii.gz", mask, affine), scan.grid)
    assert "0 and 1" in sentence(error)


@pytest.mark.parametrize(("values", "key"), [((0, 2), "2"), ((0, 255), "255"), ((0, 3, 4), "[3,4]")])
def test_the_refusal_of_other_integer_values_names_the_key(save, data, affine, values, key):
    scan = read_scan(save("scan.nii.gz", data, affine))
    path = save("mask.nii.gz", np.resize(np.array(values, np.float32), SHAPE), affine)
    with pytest.raises(ScanError, match=rf"lesion_value={re.escape(key)};"):
        read_mask(path, scan.grid)
    if values != (0, 255):
        with pytest.raises(ScanError, match="write brain voxels as 1") as error:
            read_mask(path, scan.grid, of="brain")
        assert "lesion_value" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "lesion_value"),
    [
        ((0, 1, 2, 3, 4), None),
        ((0, 1, 2), None),
        ((0, 2), None),
        ((0, 255), None),
        ((0, 1, 255), None),
        ((-1, 0, 1), None),
        ((0, 1234567, 1), None),
        ((0, *range(1, 15)), None),
        ((0, 1), 2),
        ((0, 3), [1, 2]),
    ],
)
def test_the_remedy_for_other_values_counts_every_labelled_voxel(save, data, affine, values, lesion_value):
    scan = read_scan(save("scan.nii.gz", data, affine))
    mask = np.resize(np.array(values, np.float32), SHAPE)
    path = save("mask.nii.gz", mask, affine)
    with pytest.raises(ScanError) as error:
        read_mask(path, scan.grid, lesion_value=lesion_value)
    advised = json.loads(re.findall(r"lesion_value=([^;]+);", sentence(error))[-1])
    np.testing.assert_array_equal(read_mask(path, scan.grid, lesion_value=advised), mask != 0)


def test_a_brain_mask_of_0_and_255_is_binary(save, data, affine):
    scan = read_scan(save("scan.nii.gz", data, affine))
    mask = np.where(data > 1.5, 255, 0).astype(np.uint8)
    np.testing.assert_array_equal(read_mask(save("mask.nii.gz", mask, affine), scan.grid, of="brain"), data > 1.5)


def test_a_map_of_many_labels_is_not_a_lesion_mask(save, data, affine):
    scan = read_scan(save("scan.nii.gz", data, affine))
    path = save("mask.nii.gz", np.resize(np.arange(100, dtype=np.float32), SHAPE), affine)
    with pytest.raises(ScanError, match="write lesion voxels as 1") as error:
        read_mask(path, scan.grid)
    assert "lesion_value=" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "lesion_value", "share"),
    [((0, 2), 2, 1 / 2), ((0, 0, 0, 255.0002), 255, 1 / 4), ((0, 1, 2, 3), [1, 3], 1 / 2), ((0, 0), 2, 0)],
)
def test_lesion_value_selects_the_lesion_voxels(save, data, affine, values, lesion_value, share):
    scan = read_scan(save("scan.nii.gz", np.resize(data, (8, 8, 6)), affine))
    mask = np.resize(np.array(values, np.float32), (8, 8, 6))
    found = read_mask(save("mask.nii.gz", mask, affine), scan.grid, lesion_value=lesion_value)
    assert found.mean() == share
    np.testing.assert_array_equal(found, np.isin(np.round(mask), lesion_value))


@pytest.mark.parametrize("values", [(0, 1), (0, 2.5)])
def test_a_mask_without_the_given_lesion_value_is_refused(save, data, affine, values):
    scan = read_scan(save("scan.nii.gz", data, affine))
    path = save("mask.nii.gz", np.resize(np.array(values, np.float32), SHAPE), affine)
    with pytest.raises(ScanError, match=r"0 and 2 \(lesion_value=2\)"):
        read_mask(path, scan.grid, lesion_value=2)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: np.where(d > 1.9, np.nan, d), "NaN"),
        (lambda d: np.where(d > 1.9, np.inf, d), "infinite"),
        (lambda d: np.full_like(d, 7), "constant value 7"),
        (lambda d: np.stack([d, d], axis=-1), "(7, 9, 5, 2)"),
        (lambda d: d[..., 0], "shape"),
    ],
)
def test_unusable_values_are_refused(save, data, affine, spoil, message):
    path = save("scan.nii.gz", spoil(data).astype(np.float32), affine)
    with pytest.raises(ScanError) as error:
        read_scan(path)
    assert message in sentence(error)
    assert "scan.nii.gz" in sentence(error)


def test_truncated_gzip_is_refused(save, data, affine):
    path = save("scan.nii.gz", data, affine)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ScanError, match=r"scan\.nii\.gz: expected a readable NIfTI"):
        read_scan(path)


def test_a_file_in_another_format_is_refused(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(b"not a scan at all" * 100))
    with pytest.raises(ScanError, match="a damaged file or another format"):
        read_scan(tmp_path / "scan.nii.gz")


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(ScanError, match="no such file"):
        read_scan(tmp_path / "absent.nii.gz")
    with pytest.raises(ScanError, match="a folder"):
        read_scan(tmp_path)


def spoilt(path, offset, value):
    """Overwrite a field of an uncompressed file's header (https://nifti.nimh.nih.gov/nifti-1)."""
    content = bytearray(path.read_bytes())
    content[offset : offset + value.nbytes] = value.tobytes()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (70, np.array([999], np.int16), "data code 999"),  # datatype
        (108, np.array([5], np.float32), "vox offset 5"),
        (108, np.array([1e9], np.float32), "vox offset 1e+09"),
        (42, np.array([-7], np.int16), "(-7, 9, 5)"),  # dim[1]
        (42, np.array([32000] * 3, np.int16), "32000 x 32000 x 32000 voxels"),
        (280, np.full(12, np.nan, np.float32), "an invertible affine"),  # srow_x
        (344, np.zeros(4, np.uint8), "a damaged file or another format"),  # magic
    ],
)
def test_a_damaged_header_is_one_sentence(save, data, affine, offset, value, message):
    path = spoilt(save("scan.nii", data, affine), offset, value)
    with pytest.raises(ScanError) as error:
        read_scan(path)
    assert message in sentence(error)
    assert "scan.nii" in sentence(error)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.ones(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")]), "colours"),
        (np.ones(SHAPE, np.complex64), "complex numbers"),
        (np.arange(315.0).reshape(SHAPE) * 1e300, "315 NaN or infinite voxels"),
    ],
    ids=["colours", "complex", "beyond float32"],
)
def test_colour_and_complex_voxels_are_refused(save, data, affine, message):
    with pytest.raises(ScanError) as error:
        read_scan(save("scan.nii.gz", data, affine))
    assert message in sentence(error).replace("314 NaN", "315 NaN")  # 0 * 1e300 is finite
