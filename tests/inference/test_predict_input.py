"""Input of `jsc predict`: scans, ignored files, and files that are never overwritten."""

import gzip
import json
from types import MappingProxyType, SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from joint_seg_cls.commands import predict as command
from joint_seg_cls.preprocess import image_hash
from joint_seg_cls.scan import read_scan, write_volume
from joint_seg_cls.training import Recipe

SCAN = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def volume(path, data=SCAN):
    content = gzip.compress(nib.Nifti1Image(data, np.eye(4)).to_bytes())
    path.write_bytes(content if path.name.lower().endswith("gz") else gzip.decompress(content))


@pytest.fixture
def predict(jsc, monkeypatch, tmp_path):
    """Return a function that predicts a folder with a network that writes files without computing."""
    monkeypatch.chdir(tmp_path)

    def write(case, out):
        out.mkdir(exist_ok=True)
        write_volume(out / f"{case.name}_lesions.nii.gz", np.zeros(SCAN.shape, np.uint8), case.scan)
        record = {"id": case.name, "scan": case.scan.path.name, "brain_volume_ml": 1.0, "warnings": []}
        record |= {"made_from": case.made_from, "files": [f"{case.name}_lesions.nii.gz"]}
        (out / f"{case.name}.json").write_text(json.dumps(record))
        return record | {"cost": {"seconds": 1.0, "peak_memory_mb": None}}

    recipe = Recipe({}, {}, 1, ("MS", "NMOSD"), ("flair",), (16, 16, 16), 0.5, "joint", {})

    class Network:
        card = MappingProxyType({"sha256": "a", "variant": "joint"})

        def __init__(self):
            self.recipe, self.seen = recipe, []

        def made_from(self, scan):
            return {"images": [image_hash(file) for file in scan.images if file.exists()]}

        def predict(self, scan, made_from):
            read = read_scan(scan.images[0])
            self.seen.append(scan.case)
            return SimpleNamespace(name=scan.case, scan=read, made_from=made_from)

    network = Network()
    monkeypatch.setattr(command, "load_model", lambda *_, **__: network)
    monkeypatch.setattr(command, "write_findings", write)

    def run(**words):
        (tmp_path / "scans").mkdir(exist_ok=True)
        values = {"input": "scans", "out": "scans", "checkpoint": "none", "page": "false", **words}
        code, out, err = jsc("predict", *(f"{key}={value}" for key, value in values.items()))
        return code, out + err

    run.network = network
    return run


def ids(folder):
    return sorted(line.split("\t")[0] for line in (folder / "predictions.tsv").read_text().splitlines()[1:])


def test_the_same_folder_twice_predicts_the_same_scans(predict, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in ("p01.nii.gz", "p2.NII.GZ", "p10.nii", "Müller.nii.gz", "._p01.nii.gz", ".partial-7-p01.nii.gz"):
        volume(scans / name)
    for _ in range(2):
        code, said = predict()
        assert code == 0, said
        assert ids(scans) == ["Müller", "p01", "p10", "p2"]
        assert "hidden NIfTI files, skipped (2)" in said
    assert "outputs of jsc predict, skipped (4)" in said
    (scans / "p01.json").unlink()  # as if killed before the record
    code, said = predict()
    assert (code, ids(scans)) == (0, ["Müller", "p01", "p10", "p2"])


def test_a_users_file_named_like_an_output_is_a_scan(predict, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    volume(scans / "x_lesions.nii.gz")
    code, said = predict(out="found")
    assert (code, ids(tmp_path / "found")) == (0, ["x_lesions"])
    assert "without its record, used as scans (1): x_lesions.nii.gz" in said


def test_masks_and_copies_are_not_scans(predict, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in ("p1_flair.nii.gz", "p1_lesion-mask.nii.gz", "p1_brain_mask.nii.gz", "p1_flair.nii", "q_mask.nii.gz"):
        volume(scans / name)
    code, said = predict(out="found")
    assert (code, ids(tmp_path / "found")) == (0, ["p1_flair", "q_mask"])
    assert "masks beside their scans, ignored (2)" in said
    assert "files stored twice, as .nii and .nii.gz, ignored (1)" in said
    volume(scans / "p1_flair.nii", SCAN + 1)
    code, said = predict(out="found")
    assert (code, "p1_flair more than once" in said) == (2, True)


@pytest.mark.parametrize("name", ["p1.json", "p1_lesions.nii.gz"])
def test_files_of_other_programs_are_never_replaced(predict, tmp_path, name):
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    out.mkdir()
    volume(scans / "p1.nii.gz")
    volume(out / name) if name.endswith("gz") else (out / name).write_text('{"Manufacturer": "GE"}')
    before = (out / name).read_bytes()
    code, said = predict(out="out")
    assert (code, "a file of other origin that the prediction would replace" in said) == (2, True)
    assert [(file.name, file.read_bytes()) for file in out.iterdir()] == [(name, before)]


def test_findings_of_another_model_that_began_at_the_same_time_are_reported(predict, tmp_path, monkeypatch):
    (tmp_path / "scans").mkdir()
    volume(tmp_path / "scans" / "p1.nii.gz")
    first = predict.network.predict

    def beside_another(scan, made_from):
        record = {"id": "p2", "scan": "p2.nii.gz", "brain_volume_ml": 1.0, "warnings": [], "model": {"sha256": "b"}}
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "p2.json").write_text(json.dumps(record))
        return first(scan, made_from)

    monkeypatch.setattr(predict.network, "predict", beside_another)
    code, said = predict(out="out")
    assert (code, "found p2.json, of another one" in said) == (2, True)
    assert (tmp_path / "out" / "p1.json").is_file()


def test_a_broken_link_does_not_stop_other_scans(predict, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    volume(scans / "p1.nii.gz")
    (scans / "p2.nii.gz").symlink_to(tmp_path / "gone")
    code, said = predict(out="out")
    assert (code, "p2.nii.gz" in said) == (2, True)
    assert ids(tmp_path / "out") == ["p1"]


def test_a_folder_without_scans_lists_skipped_files(predict, tmp_path):
    (tmp_path / "scans").mkdir()
    volume(tmp_path / "scans" / "._p1.nii.gz")
    code, said = predict()
    assert code == 2
    assert "found only 1 ignored files" in said
