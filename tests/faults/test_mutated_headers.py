"""Damaged NIfTI headers: a file is quickly read with the correct geometry or refused in one sentence."""

import gzip
import re
import time

import nibabel as nib
import numpy as np
import pytest

from joint_seg_cls.errors import ScanError
from joint_seg_cls.scan import read_header, read_scan, read_volume, write_volume

SHAPE = (7, 9, 5)
SPACING_MM = (0.9, 1.1, 3.0)
#: Longer than any single header takes on a loaded machine, shorter than what a person waits.
PATIENCE_S = 10.0
SHORT, LONG = 300, 12_000
#: Values that people and programs leave in headers.
ODD_FLOATS = (0, -0.0, 1, -1, 2, 1e-3, 1e3, 1e-30, 1e30, -1e30, np.nan, np.inf, -np.inf, 0.01, 100, 1e-45)
ODD_WHOLE = (0, 1, -1, 2, 3, 4, 7, 8, 255, 256, 32767, -32768, 512, 1024)


def original(kind):
    """A small scan with an oblique affine in both forms."""
    data = np.random.default_rng(0).integers(1, 900, SHAPE).astype(np.int16)
    cos, sin = np.cos(0.3), np.sin(0.3)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[-cos, sin, 0], [-sin, -cos, 0], [0, 0, 1]]) @ np.diag(SPACING_MM)
    affine[:3, 3] = (60.0, 70.0, -40.0)
    image = kind(data, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    return image.to_bytes()


def mutate(content, kind, rng):
    """Change one to three fields: to an odd value, to random bytes, or by a single bit."""
    fields = kind.template_dtype.fields
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        name = list(fields)[int(rng.integers(len(fields)))]
        dtype, offset = fields[name][:2]
        one = dtype.base
        at = offset + one.itemsize * int(rng.integers(max(dtype.itemsize // one.itemsize, 1)))
        way = rng.integers(3)
        if way == 0 and one.kind in "if":
            odd = ODD_FLOATS if one.kind == "f" else ODD_WHOLE
            with np.errstate(over="ignore"):
                value = np.array(odd[int(rng.integers(len(odd)))]).astype(one).tobytes()
        elif way == 1:
            value = rng.bytes(one.itemsize)
        else:
            value = bytearray(changed[at : at + one.itemsize])
            value[int(rng.integers(len(value)))] ^= 1 << int(rng.integers(8))
        changed[at : at + one.itemsize] = value
    if rng.random() < 0.1:
        changed = changed[: int(rng.integers(len(changed)))]
    return bytes(changed)


def geometry_by_hand(content, kind):
    """The affine that the NIfTI standard gives, in millimetres."""
    size = kind.template_dtype.itemsize
    little = int.from_bytes(content[:4], "little") == size
    record = np.frombuffer(content[:size], kind.template_dtype.newbyteorder("<" if little else ">"))[0]
    scale = {1: 1000.0, 3: 0.001}.get(int(record["xyzt_units"]) & 7, 1.0)
    affine = np.eye(4)
    if 0 < record["sform_code"] <= 5:
        affine[:3] = [record[f"srow_{axis}"] for axis in "xyz"]
    elif 0 < record["qform_code"] <= 5:
        b, c, d = (float(record[f"quatern_{name}"]) for name in "bcd")
        a = np.sqrt(max(1 - b * b - c * c - d * d, 0))
        turn = np.array(
            [
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ]
        )
        x, y, z = (float(side) for side in record["pixdim"][1:4])
        affine[:3, :3] = turn @ np.diag([x, y, -z if record["pixdim"][0] < 0 else z])
        affine[:3, 3] = [record[f"qoffset_{axis}"] for axis in "xyz"]
    else:
        return None
    return np.diag([scale, scale, scale, 1.0]) @ affine


def outcome(path, content, kind):
    """Read a file; return whether it was accepted. Anything but a ScanError, or a wrong grid, fails the test."""
    path.write_bytes(content if path.suffix == ".nii" else gzip.compress(content, 1))
    begun = time.perf_counter()
    read, refusal = None, ""
    try:
        read = read_volume(path, remedy="extract one volume")
    except ScanError as error:
        refusal = str(error)
    assert time.perf_counter() - begun < PATIENCE_S
    if read is None:
        assert re.fullmatch(rf"{re.escape(str(path))}: expected .+, found .+; .+\.", refusal)
        return False
    data, head = read
    assert data.shape == head.grid.shape
    assert all(0.01 <= mm <= 100 for mm in head.grid.spacing_mm)
    assert abs(np.linalg.det(head.grid.affine[:3, :3] / head.grid.spacing_mm)) > 0.5
    expected = geometry_by_hand(content, kind)
    if expected is not None:
        np.testing.assert_allclose(head.grid.affine, expected, rtol=1e-4, atol=1e-3)
    return True


@pytest.mark.parametrize(
    "count", [pytest.param(SHORT, id="some"), pytest.param(LONG, id="many", marks=pytest.mark.slow)]
)
def test_a_mutated_header_is_read_correctly_or_refused_in_one_sentence(tmp_path, count):
    rng = np.random.default_rng(5)
    kinds = [(kind.header_class, original(kind)) for kind in (nib.Nifti1Image, nib.Nifti2Image)]
    accepted = 0
    for number in range(count):
        kind, content = kinds[number % 3 // 2]  # two of three are NIfTI-1
        name = "scan.nii" if number % 2 else "scan.nii.gz"
        accepted += outcome(tmp_path / name, mutate(content, kind, rng), kind)
    assert 0.1 < accepted / count < 0.9


def put(tmp_path, name="scan.nii", **fields):
    image = nib.Nifti1Image.from_bytes(original(nib.Nifti1Image))
    content = bytearray(image.to_bytes())
    for field, value in fields.items():
        dtype, offset = nib.Nifti1Header.template_dtype.fields[field][:2]
        raw = value if isinstance(value, bytes) else np.asarray(value, dtype.base).tobytes()
        content[offset : offset + len(raw)] = raw
    path = tmp_path / name
    path.write_bytes(gzip.compress(bytes(content)) if name.endswith(".gz") else bytes(content))
    return path


SFORM_M = np.array([[-1e-3, 0, 0, 0.09], [0, -1e-3, 0, 0.1], [0, 0, 3e-3, -0.08]])


@pytest.mark.parametrize(
    ("fields", "spacing_mm"),
    [
        ({"xyzt_units": 1, **dict(zip(("srow_x", "srow_y", "srow_z"), SFORM_M, strict=True))}, (1, 1, 3)),
        ({"xyzt_units": 3, **dict(zip(("srow_x", "srow_y", "srow_z"), 1e6 * SFORM_M, strict=True))}, (1, 1, 3)),
        ({"xyzt_units": 5}, SPACING_MM),  # a code that NIfTI does not define
        ({"xyzt_units": 2 + 56}, SPACING_MM),  # an undefined unit of time
        ({"quatern_b": 3}, SPACING_MM),  # the sform holds
        ({"pixdim": [0, np.nan, 0, -3]}, SPACING_MM),
        ({"sform_code": 0, "pixdim": [0, *SPACING_MM]}, SPACING_MM),
        ({"dim": [4, *SHAPE, 1]}, SPACING_MM),
        ({"scl_slope": 0}, SPACING_MM),
        ({"bitpix": 0}, SPACING_MM),
    ],
)
def test_unusual_but_valid_headers_are_read(tmp_path, fields, spacing_mm):
    data, head = read_volume(put(tmp_path, **fields), remedy="")
    np.testing.assert_allclose(head.grid.spacing_mm, spacing_mm, rtol=1e-5)
    np.testing.assert_array_equal(data.shape, SHAPE)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"xyzt_units": 1}, "900 x 1.1e+03 x 3e+03 mm, since its header declares metres"),
        ({"xyzt_units": 3}, "since its header declares microns"),
        ({"sform_code": 0, "quatern_b": 3}, "a quaternion of length 3"),
        ({"sform_code": 0, "quatern_c": np.nan}, "a qform with NaN"),
        ({"sform_code": 0, "pixdim": [1, 0, 1, 1]}, "voxel sizes of 0 x 1 x 1"),
        ({"sform_code": 0, "qform_code": 0, "pixdim": [1, np.inf, 1, 1]}, "voxel sizes of inf x 1 x 1"),
        ({"srow_x": [np.inf, 0, 0, 0]}, "NaN or infinite numbers in its sform"),
        ({"srow_x": [0, 0, 1, 0]}, "are coplanar"),
        ({"srow_x": [0.9, 0.9, 0, 0], "srow_y": [0, 0.5, 0, 0]}, "sheared"),
        ({"srow_x": [0.001, 0, 0, 0], "srow_y": [0, 1, 0, 0], "srow_z": [0, 0, 1, 0]}, "voxels of 0.001 x 1 x 1 mm"),
        ({"srow_x": [0.9, 0, 0, 1e30]}, "an origin 1e+30 mm away"),
        ({"dim": [3, 32767, 32767, 32767]}, "32767 x 32767 x 32767 voxels"),
        (
            {"dim": [3, 700, 700, 700], "srow_x": [-0.5, 0, 0, 0], "srow_z": [0, 0, 0.5, 0]},
            "declares 700 x 700",
        ),
        ({"dim": [0, 7, 9, 5]}, "0, shape ()"),
        ({"dim": [3, 7, -9, 5]}, "3, shape (7, -9, 5)"),
        ({"dim": [4, 7, 9, 5, 2]}, "shape (7, 9, 5, 2)"),
        ({"datatype": 1}, "type 1"),
        ({"datatype": 999}, "data code 999"),
        ({"bitpix": 8}, "8 bits for int16"),
        ({"vox_offset": 5}, "vox offset 5"),
        ({"vox_offset": 1e9}, "vox offset 1e+09"),
        ({"scl_slope": np.inf}, "slope inf"),
        ({"scl_slope": 1, "scl_inter": np.nan}, "intercept nan"),
        ({"magic": b"ni1\0"}, "the header of a .hdr/.img pair"),
    ],
)
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_impossible_headers_are_refused(tmp_path, fields, found, name):
    with pytest.raises(ScanError) as error:
        read_header(put(tmp_path, name, **fields))
    assert found in error.value.found


def test_a_header_that_declares_five_gigabytes_allocates_no_memory(tmp_path):
    import tracemalloc

    dims = {"dim": [3, 900, 900, 900], "datatype": 64, "bitpix": 64}
    axes = {f"srow_{axis}": row for axis, row in zip("xyz", np.eye(4)[:3], strict=True)}
    for name in ("scan.nii", "scan.nii.gz"):
        path = put(tmp_path, name, **dims, **axes)
        tracemalloc.start()
        with pytest.raises(ScanError, match=r"declares 900 x 900 x 900 voxels \(5832000000 bytes\)"):
            read_volume(path, remedy="")
        assert tracemalloc.get_traced_memory()[1] < 10e6
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "content", "found", "remedy"),
    [
        (
            "a.nii.gz",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "a Git LFS pointer",
            "git lfs pull",
        ),
        ("a.nii.gz", b"/annex/objects/MD5E-s1--0.nii.gz\n", "a git-annex pointer", "datalad get"),
        ("a.nii.gz", b"<!DOCTYPE html><html>", "a web page", "download"),
        ("a.nii", b"", "an empty file", "export"),
        ("a.nii.gz", original(nib.Nifti1Image), "an uncompressed NIfTI file", "rename it to a.nii"),
        ("A.NII.GZ", original(nib.Nifti1Image), "an uncompressed NIfTI file", "rename it to A.NII"),
        ("a.nii", gzip.compress(original(nib.Nifti1Image)), "a gzip-compressed file", "rename it to a.nii.gz"),
        ("a.nii.gz", gzip.compress(original(nib.Nifti1Image))[:60], "a damaged", "again"),
    ],
    ids=["LFS pointer", "annex pointer", "web page", "empty", "plain as gz", "plain as GZ", "gz as plain", "cut short"],
)
def test_pointer_files_and_web_pages_are_refused_with_a_remedy(tmp_path, name, content, found, remedy):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ScanError) as error:
        read_volume(path, remedy="")
    assert found in error.value.found
    assert remedy in error.value.remedy
    if "rename" in remedy:
        path.rename(tmp_path / error.value.remedy.rpartition(" ")[2])
        read_volume(tmp_path / error.value.remedy.rpartition(" ")[2], remedy="")


def test_a_changed_byte_of_compressed_voxels_is_detected(tmp_path):
    content = bytearray(gzip.compress(original(nib.Nifti1Image), 0))
    content[-100] ^= 1
    (tmp_path / "scan.nii.gz").write_bytes(content)
    with pytest.raises(ScanError, match="CRC check failed"):
        read_volume(tmp_path / "scan.nii.gz", remedy="")


def test_a_file_of_several_gzip_members_is_read(tmp_path):
    content = original(nib.Nifti1Image)
    parts = (content[:400], content[400:700], content[700:], b"")
    (tmp_path / "scan.nii.gz").write_bytes(b"".join(gzip.compress(part) for part in parts))
    data, _ = read_volume(tmp_path / "scan.nii.gz", remedy="")
    np.testing.assert_array_equal(data, nib.Nifti1Image.from_bytes(content).get_fdata())


def test_bytes_after_the_compressed_data_are_ignored(tmp_path):
    for tail in (bytes(512), b"padding of another program"):
        (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(original(nib.Nifti1Image)) + tail)
        assert read_volume(tmp_path / "scan.nii.gz", remedy="")[0].shape == SHAPE


@pytest.mark.parametrize(
    "fields",
    [
        {"quatern_b": 3},
        {"pixdim": [0, np.nan, 0, -3]},
        {"xyzt_units": 5},
        {"dim": [4, *SHAPE, 1]},
        {"sform_code": 77},
        {"scl_slope": np.nan},
    ],
)
def test_a_result_has_the_geometry_of_its_unusual_scan(tmp_path, fields):
    scan = read_scan(put(tmp_path, **fields))
    write_volume(tmp_path / "mask.nii.gz", (scan.data > 400).astype(np.uint8), scan)
    mask, head = read_volume(tmp_path / "mask.nii.gz", remedy="")
    np.testing.assert_allclose(head.grid.affine, scan.grid.affine)
    np.testing.assert_array_equal(mask, scan.data > 400)
