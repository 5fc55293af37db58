"""Small simulated cohorts with one fault each, and scans given only as facts."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from joint_seg_cls.audit.facts import ScanFacts

SHAPE = (31, 35, 29)
#: 6 mm voxels, axes LPS, a little oblique.
AFFINE = np.array([[-5.98, 0.5, 0, 95], [-0.5, -5.98, 0, 110], [0, 0, 6, -80], [0, 0, 0, 1.0]])
VOXEL_ML = float(abs(np.linalg.det(AFFINE[:3, :3]))) / 1000


def ellipsoid():
    """A brain of about 1.2 L in the middle of the grid."""
    offsets = np.moveaxis(np.indices(SHAPE), 0, -1) - (np.array(SHAPE) - 1) / 2
    return (np.linalg.norm(offsets / np.array([11.0, 13.0, 10.0]), axis=-1) < 1).astype(np.uint8)


def head(seed):
    """A stripped scan of textured tissue around 500, and a bright lesion of 36 voxels on one side (a low index)."""
    rng = np.random.default_rng(seed)
    texture = np.kron(rng.normal(0, 40, (8, 9, 8)), np.ones((4, 4, 4)))[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    scan = np.round(500 + texture + rng.normal(0, 5, SHAPE))
    lesion = np.zeros(SHAPE, np.uint8)
    lesion[8:12, 16:19, 13:16] = 1
    scan[lesion > 0] = 800 + np.arange(36)
    return (scan * ellipsoid()).astype(np.int16), lesion


def save(path, data, affine=AFFINE, codes=(1, 1)):
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine if codes[0] else None, code=codes[0])
    image.set_sform(affine if codes[1] else None, code=codes[1])
    nib.save(image, path)
    return path


class Files:
    """The editable files of one row: ``put`` replaces a volume, ``row`` has the cells."""

    def __init__(self, folder, number):
        self.folder = folder
        self.scan, self.lesion = head(number)
        self.row = {
            "subject": f"s{number}",
            "flair": f"s{number}_flair.nii.gz",
            "lesion_mask": f"s{number}_mask.nii.gz",
            "disease": ("MS", "NMOSD")[number % 2],
            "site": ("north", "south")[number // 2 % 2],
            "age": str(30 + number),
            "sex": "FM"[number % 2],
        }
        self.affine = AFFINE.copy()
        self.put("flair", self.scan)
        self.put("lesion_mask", self.lesion)

    def put(self, kind, data, affine=AFFINE, codes=(1, 1)):
        return save(self.folder / self.row[kind], data, affine, codes)


@pytest.fixture
def cohort(tmp_path):
    """Return a function that writes a cohort of ``count`` heads; ``spoil`` maps a number to a change of its files."""

    def write(count=4, spoil=None):
        lines = ["subject\tflair\tlesion_mask\tdisease\tsite\tage\tsex"]
        for number in range(count):
            files = Files(tmp_path, number)
            if spoil and number in spoil:
                spoil[number](files)
            lines.append("\t".join(files.row.values()))
        path = Path(tmp_path / "cohort.tsv")
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture
def audit(cohort):
    """Return a function that writes a cohort and looks at it."""
    from joint_seg_cls.audit import audit_cohort

    def look(count=4, spoil=None, **choices):
        path = cohort(count, spoil)
        return audit_cohort(path, modalities=["flair"], classes=["MS", "NMOSD"], **choices)[0]

    return look


@pytest.fixture
def made_up_head():
    return head


@pytest.fixture
def of():
    """Return a function that gives the findings of a check."""
    return lambda audit, check: [finding for finding in audit.findings if finding.check == check]


@pytest.fixture
def facts():
    """Return a function that builds the facts of a scan without files."""

    def make(case, subject=None, disease="MS", **known):
        columns = known.pop("columns", {})
        return ScanFacts(case, subject or case, disease, columns, **known)

    return make
