"""Conversion of one DICOM series to a NIfTI file with voxels and grid, without any other content of its headers."""

import gzip
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy

from joint_seg_cls.scan.cells import SEPARATORS
from joint_seg_cls.scan.readers.dicom_headers import Series, copy_with_one_study
from joint_seg_cls.scan.readers.write import another

_LIMIT_S = 600
_COMPRESSION = 6
#: NIfTI code of scanner coordinates, and offset of the voxels in a file without extensions.
_SCANNER, _DATA_AT = 1, 352
#: First columns of the table of converted scans, and names of the scans.
_COLUMNS, _NAMES = ("subject", "session", "flair"), re.compile(r".+_ses-\d+_.+\.nii\.gz")
#: No side-car, no gzip, stored values, no cropping; the file name contains nothing from the header.
_OPTIONS = ("-b", "n", "-z", "n", "-l", "o", "-x", "n", "-m", "2", "-w", "0", "-f", "scan")


def refuse_foreign(table: Path, folder: Path) -> None:
    """Refuse a table or a folder of scans that no conversion wrote, before any work.

    Raises:
        CohortError: there is one.
    """
    if table.exists() and not _is_written(table):
        raise another(table, "table")
    if folder.exists() and not (folder.is_dir() and all(_NAMES.fullmatch(file.name) for file in folder.iterdir())):
        raise another(folder, "folder of scans")


def _is_written(table: Path) -> bool:
    """Return whether a table begins as that of a conversion."""
    head = SEPARATORS[table.suffix.lower()].join(_COLUMNS).encode()
    if not table.is_file():
        return False
    with table.open("rb") as file:
        return file.read(len(head)) == head


def convert(series: Series, target: Path) -> str | None:
    """Convert one series with dcm2niix and write ``target`` (``.nii.gz``); return why it failed, or None.

    If the files disagree about their study or its time (some exports stamp each file), dcm2niix would treat
    each as a scan; it then gets copies with one study.

    dcm2niix writes times, comments and the patient's position into the header, and prints more. All of this stays in a
    temporary folder beside the target, which is deleted, and in an unread pipe. Kept are values with their scale,
    sform, qform, millimetres.
    """
    with tempfile.TemporaryDirectory(prefix=".dicom-", dir=target.parent) as name:
        folder = Path(name)
        source, made = folder / "in", folder / "out"
        source.mkdir()
        made.mkdir()
        give = copy_with_one_study if len(series.studies) > 1 else _link
        for number, file in enumerate(series.files):
            give(file, source / f"{number:06d}.dcm")
        fault = _run(source, made)
        if fault is not None:
            return fault
        volumes = sorted(made.glob("*.nii"))
        if len(volumes) != 1:
            return f"dcm2niix made {len(volumes)} volumes from it"
        return _write_clean(volumes[0], target)


def _run(source: Path, made: Path) -> str | None:
    import dcm2niix

    # HOME: keeps dcm2niix from reading and writing its defaults
    environment = os.environ | {"HOME": str(made)}
    try:
        done = subprocess.run(  # noqa: S603 - the program of the package, with our own arguments
            [dcm2niix.bin, *_OPTIONS, "-o", str(made), str(source)],
            capture_output=True,
            timeout=_LIMIT_S,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"dcm2niix did not finish ({type(error).__name__})"
    return (
        f"dcm2niix failed with exit code {done.returncode}" if done.returncode and not any(made.glob("*.nii")) else None
    )


def _write_clean(volume: Path, target: Path) -> str | None:
    """Write the voxels with a new header: stored values, their scale, the grid."""
    image = nib.load(volume)
    assert isinstance(image, nib.Nifti1Image)
    if len([side for side in image.shape if side > 1]) != 3:
        return f"it has several volumes (shape {tuple(image.shape)})"
    proxy = image.dataobj
    assert isinstance(proxy, ArrayProxy)
    stored = np.asarray(proxy.get_unscaled()).reshape([side for side in image.shape if side > 1])
    stored = stored.astype(stored.dtype.newbyteorder("<"), copy=False)
    header = nib.Nifti1Header(endianness="<")
    header.set_data_dtype(stored.dtype)
    header.set_data_shape(stored.shape)
    header.set_qform(image.affine, int(image.header["qform_code"]) or _SCANNER)
    header.set_sform(image.affine, int(image.header["sform_code"]) or _SCANNER)
    header.set_slope_inter(proxy.slope, proxy.inter)
    header.set_xyzt_units("mm")
    header["vox_offset"] = _DATA_AT
    content = header.binaryblock + bytes(_DATA_AT - len(header.binaryblock)) + stored.tobytes(order="F")
    target.write_bytes(gzip.compress(content, compresslevel=_COMPRESSION, mtime=0))
    return None


def _link(file: Path, link: Path) -> None:
    try:
        link.symlink_to(file.resolve())
    except OSError:
        shutil.copyfile(file, link)
