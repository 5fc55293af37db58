"""Invalid input on the command line: one sentence, exit code 2, no traceback, and no training."""

import json

import nibabel as nib
import numpy as np
import pytest

AFFINE = np.array([[-2.0, 0.3, 0, 20], [0.3, 2.0, 0, -9], [0, 0, 3.0, 4], [0, 0, 0, 1]])
PREPARE = ("image_size=16", "preprocess/brain=none", "preprocess/bias_field=none", "workers=0")


class Cohort:
    """Four stripped scans with masks, and a table that a test spoils."""

    def __init__(self, folder):
        self.folder = folder
        self.rows = []
        rng = np.random.default_rng(0)
        for number in range(4):
            scan, mask = np.zeros((15, 16, 11), np.float32), np.zeros((15, 16, 11), np.uint8)
            scan[2:-2, 2:-2, 2:-2] = rng.uniform(50, 100, (11, 12, 7))
            mask[5:8, 5:8, 4:6] = 1
            self.save(f"f{number}.nii.gz", scan)
            self.save(f"m{number}.nii.gz", mask)
            self.rows.append([f"s{number}", f"f{number}.nii.gz", f"m{number}.nii.gz", ("MS", "NMOSD")[number % 2]])

    def save(self, name, data, affine=AFFINE):
        nib.save(nib.Nifti1Image(data, affine), self.folder / name)

    def scan(self, number=0):
        return np.asarray(nib.load(self.folder / f"f{number}.nii.gz").dataobj).astype(np.float32)

    @property
    def table(self):
        lines = ["subject\tflair\tlesion_mask\tdisease", *("\t".join(row) for row in self.rows)]
        path = self.folder / "cohort.tsv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path


@pytest.fixture
def cohort(tmp_path):
    folder = tmp_path / "a cohort, of=four"
    folder.mkdir()
    return Cohort(folder)


def sentence(code, err):
    """Return the only sentence of an error, without progress messages."""
    assert code == 2, err
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert line == err.splitlines()[-1]
    assert all(word in line for word in (": expected ", ", found ", "; "))
    return line


def missing_file(cohort):
    (cohort.folder / "f1.nii.gz").unlink()
    return "f1.nii.gz"


def mask_on_another_grid(cohort):
    cohort.save("m2.nii.gz", np.zeros((15, 16, 12), np.uint8))
    return "m2.nii.gz"


def mask_elsewhere(cohort):
    moved = AFFINE.copy()
    moved[1, 3] += 4
    cohort.save("m2.nii.gz", np.zeros((15, 16, 11), np.uint8), moved)
    return "m2.nii.gz"


def mask_of_negative_values(cohort):
    cohort.save("m2.nii.gz", -(cohort.scan() > 90).astype(np.int16))
    return "found the values -1, 0"


def label_outside_the_classes(cohort):
    cohort.rows[3][3] = "MOGAD"
    return "line 5: expected a disease among MS, NMOSD"


def two_subjects_of_one_id(cohort):
    cohort.rows[3][0] = "s1"
    return "appear twice (s1)"


def nan(cohort):
    scan = cohort.scan()
    scan[7, 7, 5] = np.nan
    cohort.save("f0.nii.gz", scan)
    return "f0.nii.gz: expected finite values"


def constant(cohort):
    cohort.save("f0.nii.gz", np.full((15, 16, 11), 3, np.float32))
    return "f0.nii.gz: expected a scan with contrast"


def four_dimensional(cohort):
    cohort.save("f0.nii.gz", np.stack([cohort.scan()] * 2, axis=-1))
    return "f0.nii.gz: expected a 3-D volume"


def truncated_gzip(cohort):
    path = cohort.folder / "f0.nii.gz"
    path.write_bytes(path.read_bytes()[:-400])
    return "f0.nii.gz: expected a readable NIfTI file"


def empty_cohort(cohort):
    cohort.rows.clear()
    return "cohort.tsv: expected at least one scan"


@pytest.mark.parametrize(
    "spoil",
    [
        missing_file, mask_on_another_grid, mask_elsewhere, mask_of_negative_values, label_outside_the_classes,
        two_subjects_of_one_id, nan, constant, four_dimensional, truncated_gzip, empty_cohort,
    ],
    ids=lambda spoil: spoil.__name__,
)  # fmt: skip
def test_an_invalid_cohort_is_refused_by_every_command(jsc, cohort, tmp_path, spoil):
    message = spoil(cohort)
    store = tmp_path / "store"
    code, _, err = jsc("prepare", f"cohort={cohort.table}", f"store={store}", *PREPARE)
    assert message in sentence(code, err)
    code, _, err = jsc("train", f"data.store={store}", f"runs={tmp_path / 'runs'}", "tracking=none")
    sentence(code, err)
    assert not (tmp_path / "runs").exists()


def test_several_invalid_scans_are_named_in_one_sentence_and_others_kept(jsc, cohort, tmp_path):
    for number in (1, 2):
        cohort.save(f"f{number}.nii.gz", np.full((15, 16, 11), 3, np.float32))
    code, _, err = jsc("prepare", f"cohort={cohort.table}", f"store={tmp_path / 's'}", *PREPARE)
    line = sentence(code, err)
    assert "f1.nii.gz" in line
    assert "f2.nii.gz" in line
    assert {path.name for path in (tmp_path / "s").iterdir() if path.is_dir()} == {"s0", "s3", ".locks"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["image_size=50"], "use 48 x 48 x 48"),
        (["image_size=[16,16]"], "one or three integers, found 16 x 16"),
        (["modalities=[]"], "modalities: expected a list of at least 1"),
        (["modalities=[flair,flair]"], "found [flair,flair]"),
        (["modalities=flair"], "write modalities=[flair]"),
        (["classes=[MS]"], "classes: expected a list of at least 2"),
        (["classes=[MS,MS]"], "found [MS,MS]"),
        (["workers=-1"], "workers: expected a whole number"),
        (["preprocess=nothing"], "preprocess/nothing"),
        (["imagesize=3"], "imagesize"),
    ],
)
def test_a_wrong_setting_is_refused_before_a_scan_is_read(jsc, cohort, tmp_path, words, message):
    code, _, err = jsc("prepare", f"cohort={cohort.table}", f"store={tmp_path / 's'}", *PREPARE[1:-1], *words)
    assert message in sentence(code, err)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("place", ["cohort.tsv", "cohort.tsv/store"])
def test_a_file_instead_of_a_store_is_named(jsc, cohort, place):
    code, _, err = jsc("prepare", f"cohort={cohort.table}", f"store={cohort.folder / place}", *PREPARE)
    assert "found a file, " in sentence(code, err)


def test_a_tilde_is_expanded_in_every_path(jsc, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for words in (("prepare", "cohort=~/none.tsv", "store=~/s"), ("train", "data.store=~/none.tsv")):
        code, _, err = jsc(*words)
        assert str(tmp_path / "none.tsv") in sentence(code, err)


#: Tried in a fresh interpreter: there the types of arguments are not watched, as for a user.
WRONG_TYPES = {
    "image_size=big": "preprocess.image_size: expected one or three integers, found big",
    "image_size=16.5": "preprocess.image_size: expected one or three integers, found 16.5",
    "workers=many": "workers: expected a whole number, 0 or more, found 'many'",
    "preprocess.raters=all": "preprocess.raters: expected one of intersection, majority, union, found all",
    "preprocess.intensity.over=head": "preprocess.intensity.over: expected brain or volume, found head",
}


def test_values_of_the_wrong_type_are_refused(cohort, forks):
    words = ["prepare", f"cohort={cohort.table}", f"store={cohort.folder / 's'}", "preprocess/bias_field=none"]
    code = (
        "import contextlib, io, json\n"
        "from joint_seg_cls.cli.main import main\n"
        "said = []\n"
        f"for word in {list(WRONG_TYPES)!r}:\n"
        "    with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.suppress(SystemExit):\n"
        f"        main([*{words!r}, word])\n"
        "    said.append(err.getvalue())\n"
        "print(json.dumps(said))\n"
    )
    for found, expected in zip(json.loads(forks.unwatched(code)), WRONG_TYPES.values(), strict=True):
        assert sentence(2, found).startswith(f"error: {expected};")
