"""Masks with other values in another cohort: the remedy names a key of the same command."""

import shutil

import nibabel as nib
import numpy as np


def test_evaluate_accepts_the_lesion_value_of_its_remedy(world, jsc, monkeypatch, tmp_path):
    monkeypatch.chdir(world)
    (run,) = world.glob("runs/store/*/fold-0_seed-0")
    shutil.copytree(world / "scans", tmp_path / "scans")
    shutil.copy(world / "cohort.tsv", tmp_path)
    for path in (tmp_path / "scans").glob("*_lesion.nii.gz"):
        mask = nib.load(path)
        nib.save(nib.Nifti1Image(3 * np.asarray(mask.dataobj), mask.affine), path)
    words = ["evaluate", f"run={run}", f"cohort={tmp_path / 'cohort.tsv'}", "device=cpu", "name=threes"]
    code, _, err = jsc(*words)
    assert (code, "lesion_value=3" in err) == (2, True), err
    code, out, err = jsc(*words, "lesion_value=3")
    assert code == 0, err
    assert "DSC" in out
    shutil.rmtree(run / "evaluations" / "threes")
