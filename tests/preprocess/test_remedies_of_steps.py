"""Each remedy of a preprocessing step is provoked by `jsc prepare` and followed; `jsc predict` has no such keys."""

import re

import nibabel as nib
import numpy as np
import pytest

SHAPE = (24, 26, 22)
AFFINE = np.diag([-5.0, -5, 5, 1])


@pytest.fixture
def cohort(tmp_path):
    """Two modalities of one head: a stripped FLAIR and a T1, whose grid is shifted by ``shift_mm``."""

    def write(shift_mm):
        index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
        radius = np.linalg.norm((index - (np.array(SHAPE) - 1) / 2) / (0.45 * np.array(SHAPE)), axis=-1)
        brain = np.where(radius < 1, 100 + 20 * np.cos(index.sum(axis=-1)) + index[..., 0], 0)
        nib.save(nib.Nifti1Image(brain.astype(np.float32), AFFINE), tmp_path / "flair.nii.gz")
        moved = AFFINE.copy()
        moved[:3, 3] += shift_mm
        nib.save(nib.Nifti1Image((brain * 0.7).astype(np.float32), moved), tmp_path / "t1.nii.gz")
        (tmp_path / "cohort.tsv").write_text("subject\tflair\tt1\tdisease\np\tflair.nii.gz\tt1.nii.gz\tMS\n")
        return f"cohort={tmp_path / 'cohort.tsv'}", f"store={tmp_path / 'store'}", "image_size=16", "workers=0"

    return write


CASES = {
    "another grid": ((7, 0, 0), ["preprocess/registration=none", "modalities=[flair,t1]"]),
    "no overlap": ((900, 0, 0), ["preprocess/registration=by_header", "modalities=[flair,t1]"]),
    "a small grid": ((0, 0, 0), ["preprocess/layout=isotropic_pad", "preprocess.layout.spacing_mm=3"]),
    "no mask": ((0, 0, 0), ["preprocess/brain=given"]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_remedy_of_a_step_works(jsc, cohort, name):
    shift_mm, words = CASES[name]
    made = list(cohort(shift_mm))
    rest = [word for word in ("preprocess/brain=none", "preprocess/bias_field=none") if word.split("=")[0] not in
            {each.split("=")[0] for each in words}]  # fmt: skip
    code, _, err = jsc("prepare", *made, *rest, *words)
    assert code == 2, err
    told = err.rpartition("in jsc prepare use ")[2]
    (word,) = re.findall(r"preprocess[\w./]*=[\w.]*[\w]", told)
    key = word.split("=")[0]
    code, _, err = jsc("prepare", *made, *rest, *(each for each in words if each.split("=")[0] != key), word)
    assert code == 0, err
