"""BIDS data sets, valid and deviating, become a cohort table."""

import json
import unicodedata

import pytest

from joint_seg_cls.errors import CohortError
from joint_seg_cls.scan import read_cohort
from joint_seg_cls.scan.readers import BidsReader, write_cohort_table

BIDS = {
    "modalities": {"T1w": "t1", "T2w": "t2"},
    "lesion_words": ["lesion", "wml", "L"],
    "brain_words": ["brain"],
    "spaces": ["orig", "FLAIR"],
}


def output(found):
    return {(remark.what, remark.about) for remark in found.remarks}


def reasons(found):
    return " | ".join(f"{remark.what}: {remark.about}" for remark in found.remarks)


def names(found):
    return [(scan.subject, scan.session, scan.disease) for scan in found.scans]


def read(reader, root):
    return reader.read(root, root / "out.tsv")


def bids(put, **changes):
    return read(BidsReader(**(BIDS | changes)), put.root)


@pytest.fixture
def bids_folder(put):
    """Two people, one with two visits; masks of two raters and of the brain in nested derivatives."""
    for visit in (1, 2):
        put(f"sub-01/ses-{visit}/anat/sub-01_ses-{visit}_FLAIR.nii.gz")
        put(f"sub-01/ses-{visit}/anat/sub-01_ses-{visit}_T1w.nii.gz")
        for rater in (1, 2):
            kind = "lesion-mask" if rater == 1 else "lesion-mask-2"
            place = f"derivatives/manual/sub-01/ses-{visit}/anat/sub-01_ses-{visit}"
            put(f"{place}_space-orig_desc-rater{rater}_label-lesion_mask.nii.gz", kind)
    put("derivatives/a/derivatives/b/sub-01/ses-1/anat/sub-01_ses-1_desc-brain_mask.nii.gz", "brain-mask")
    put("sub-02/anat/sub-02_FLAIR.nii", subject=2)
    put("derivatives/manual/sub-02/anat/sub-02_label-L_mask.nii.gz", "lesion-mask", subject=2)
    (put.root / "participants.tsv").write_text(
        "participant_id\tdiagnosis\tage\tsite\tsession\nsub-01\tRRMS\t31\tnorth\tn/a\nsub-02\tnmosd\t44\tsouth\tn/a\n"
    )
    return put


def test_bids_gives_scans_masks_labels_and_further_columns(bids_folder):
    found = bids(bids_folder, labels={"RRMS": "MS"})
    assert names(found) == [("sub-01", "ses-1", "MS"), ("sub-01", "ses-2", "MS"), ("sub-02", None, "nmosd")]
    first, second, third = found.scans
    assert set(first.files) == {"flair", "t1", "brain_mask", "lesion_mask", "lesion_mask_2"}
    assert "rater1" in first.files["lesion_mask"].name
    assert "rater2" in first.files["lesion_mask_2"].name
    assert set(second.files) == {"flair", "t1", "lesion_mask", "lesion_mask_2"}
    assert set(third.files) == {"flair", "lesion_mask"}
    assert first.columns == {"age": "31", "site": "north"}
    assert found.remarks == ()


def test_a_bids_table_is_valid_after_moving_the_folder(bids_folder):
    out = bids_folder.root / "tables" / "cohort.tsv"
    found = bids(bids_folder, labels={"RRMS": "MS"})
    write_cohort_table(found, out, classes=["MS", "NMOSD"])
    moved = bids_folder.root.rename(bids_folder.root.with_name("elsewhere"))
    cases = read_cohort(moved / "tables" / "cohort.tsv", modalities=["flair"])
    assert [(case.case, case.disease, len(case.lesion_masks)) for case in cases] == [
        ("sub-01_ses-1", "MS", 2),
        ("sub-01_ses-2", "MS", 2),
        ("sub-02", "NMOSD", 1),
    ]
    assert cases[0].columns == {"age": "31", "site": "north"}
    assert all(str(moved) in str(case.images[0]) for case in cases)


def test_bids_selects_one_flair_per_visit_and_reports_the_others(put):
    put("sub-1/anat/sub-1_run-2_FLAIR.nii.gz")
    put("sub-1/anat/sub-1_run-1_FLAIR.nii.gz")
    put("sub-2/anat/sub-2_acq-2D_FLAIR.nii.gz")
    put("sub-2/anat/sub-2_acq-3D_FLAIR.nii.gz")
    put("derivatives/m/sub-2/anat/sub-2_acq-3D_label-lesion_mask.nii.gz", "lesion-mask")
    put("derivatives/m/sub-2/anat/sub-2_acq-2D_run-1_label-lesion_mask.nii.gz", "lesion-mask")
    found = bids(put)
    assert [scan.files["flair"].name for scan in found.scans] == [
        "sub-1_run-1_FLAIR.nii.gz",
        "sub-2_acq-3D_FLAIR.nii.gz",
    ]
    assert found.scans[1].files["lesion_mask"].name == "sub-2_acq-3D_label-lesion_mask.nii.gz"
    for other in ("sub-1_run-2_FLAIR", "sub-2_acq-2D_FLAIR", "sub-2_acq-2D_run-1_label-lesion_mask"):
        assert other in reasons(found)


def test_bids_skips_masks_not_on_the_flairs_grid(put):
    put("sub-1/anat/sub-1_FLAIR.nii.gz")
    put("derivatives/a/sub-1/anat/sub-1_space-MNI152NLin2009cAsym_label-lesion_mask.nii.gz", "lesion-mask")
    put("derivatives/a/sub-1/anat/sub-1_label-lesion_probseg.nii.gz", "lesion-mask")
    put("derivatives/fmriprep/sub-1/anat/sub-1_desc-brain_mask.nii.gz", "brain-mask", subject=2)
    put("derivatives/a/sub-9/anat/sub-9_label-lesion_mask.nii.gz", "lesion-mask")
    found = bids(put)
    assert set(found.scans[0].files) == {"flair"}
    for what in ("another space", "probability maps", "brain masks on another grid", "masks without a FLAIR"):
        assert what in reasons(found)


def test_bids_selects_pipelines_and_reports_several_used_as_raters(put):
    put("sub-1/anat/sub-1_FLAIR.nii.gz")
    put("derivatives/manual/sub-1/sub-1_label-lesion_mask.nii.gz", "lesion-mask")
    put("derivatives/lst/sub-1/sub-1_label-lesion_mask.nii.gz", "lesion-mask-2")
    assert "lst and manual" in reasons(bids(put))
    found = bids(put, pipelines=["manual"])
    assert [file.parts[-3] for name, file in found.scans[0].files.items() if "mask" in name] == ["manual"]


def test_bids_accepts_common_deviations(put):
    put("SUB-A/SUB-A_flair.nii.gz")
    put("SUB-A/SUB-A_lesion.nii.gz", "lesion-mask")
    put("sub-b/ses-m00/T2FLAIR.nii.gz")
    put("sub-b/ses-m00/lesion-mask.nii", "lesion-mask")
    put("rawdata/sub-c/anat/sub-c_FLAIR.nii.gz")
    put("sub-b/anat/sub-x_FLAIR.nii.gz")
    put("sourcedata/sub-d/anat/sub-d_FLAIR.nii.gz")
    put(".heudiconv/sub-e/anat/sub-e_FLAIR.nii.gz")
    (put.root / "sub-b" / "._sub-b_FLAIR.nii.gz").write_bytes(b"mac")
    (put.root / "participants.csv").write_text("Participant_ID;Diagnosis\nA;MS\nB;NMOSD\nz;MS\n")
    found = bids(put)
    assert names(found) == [("sub-A", None, "MS"), ("sub-b", "ses-m00", "NMOSD"), ("sub-c", None, None)]
    assert "lesion_mask" in found.scans[0].files
    assert "lesion_mask" in found.scans[1].files
    for part in (
        "sub-b/anat/sub-x_FLAIR.nii.gz",
        "subjects missing in participants.csv: sub-c",
        "without a FLAIR: z",
    ):
        assert part in reasons(found)


def test_bids_follows_links_once_and_reports_broken_ones(put, tmp_path):
    there = put("sub-1/anat/sub-1_FLAIR.nii.gz")
    elsewhere = tmp_path / "annex" / "key"
    elsewhere.parent.mkdir()
    there.rename(elsewhere)
    there.symlink_to(elsewhere)
    (put.root / "sub-1" / "loop").symlink_to(put.root)
    (put.root / "sub-1" / "anat" / "sub-1_label-lesion_mask.nii.gz").symlink_to(tmp_path / "gone")
    found = bids(put)
    assert found.scans[0].files == {"flair": there}
    assert ("broken links (fetch the files first)", "sub-1/anat/sub-1_label-lesion_mask.nii.gz") in output(found)


def test_bids_sessions_and_sidecars_give_further_columns(bids_folder):
    root = bids_folder.root
    (root / "sub-01" / "sub-01_sessions.tsv").write_text("session_id\tage\tdiagnosis\nses-2\t33\tNMOSD\n")
    (root / "FLAIR.json").write_text('{"Manufacturer": "GE", "RepetitionTime": 8, "InversionTime": 2.25}')
    (root / "sub-01/ses-2/anat/sub-01_ses-2_FLAIR.json").write_text(
        '{"Manufacturer": "Philips", "ManufacturersModelName": "Ingenia", "MagneticFieldStrength": 3, "Name": "X"}'
    )
    first, second, _ = bids(bids_folder, labels={"RRMS": "MS"}).scans
    assert (first.disease, first.columns["age"], first.columns["scanner"]) == ("MS", "31", "GE")
    assert (first.columns["tr_ms"], first.columns["ti_ms"]) == ("8000", "2250")
    assert (second.disease, second.columns["age"], second.columns["scanner"]) == ("NMOSD", "33", "Philips Ingenia")
    assert (second.columns["field_strength_t"], "X" in second.columns.values()) == ("3", False)


def test_labels_may_be_in_any_column_with_any_name(bids_folder):
    table = bids_folder.root / "participants.tsv"
    table.write_text("participant_id\tgroup\n1\tpatient\nsub-02\tHC\n")
    found = bids(bids_folder, disease_column="group", labels={"patient": "MS", "hc": None})
    assert [scan.disease for scan in found.scans] == ["MS", "MS", None]
    assert "no column of diseases" in reasons(bids(bids_folder))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"participant_id\tdiagnosis\nsub-01\tMS\nsub-01\tNMOSD\n", "line 3"),
        (b"participant_id\tdiagnosis\n\xff\xfe\xff", "not UTF-8"),
        (b"", "an empty file"),
        (b"PK\x03\x04\x00\x00", "binary data"),
        (b"name\tdiagnosis\nsub-01\tMS\n", "a column of subjects"),
        (b"participant_id\tdiagnosis\n\tMS\n", "a name in participant_id"),
        (b"participant_id\tdiagnosis\nsub-01\tMS\t3\n", "longer rows"),
    ],
)
def test_an_invalid_participants_table_is_refused(bids_folder, content, message):
    (bids_folder.root / "participants.tsv").write_bytes(content)
    with pytest.raises(CohortError, match=r"participants\.tsv") as error:
        bids(bids_folder)
    assert message in str(error.value)


def test_a_repeated_participant_with_equal_cells_is_accepted(bids_folder):
    with (bids_folder.root / "participants.tsv").open("a") as table:
        table.write("sub-01\tRRMS\t31\tnorth\tn/a\n")
    assert len(bids(bids_folder).scans) == 3


def test_wrong_and_empty_folders_are_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for place, message in (("nowhere", "no such folder"), ("file", "a file"), ("empty", "0 NIfTI files")):
        with pytest.raises(CohortError, match=message):
            BidsReader(**BIDS).read(tmp_path / place, tmp_path / "o.tsv")


def test_masks_are_recognised_by_their_name_or_folder(put):
    put("sub-01/anat/sub-01_FLAIR.nii.gz")
    put("sub-01/anat/sub-01_lesion_mask.nii.gz", "lesion-mask")
    put("sub-02/anat/sub-02_FLAIR.nii.gz", subject=2)
    put("derivatives/Lesion_Masks/sub-02/anat/sub-02_desc-manual_mask.nii.gz", "lesion-mask", subject=2)
    put("derivatives/lesion-tool/sub-02/anat/sub-02_label-GM_dseg.nii.gz", "lesion-mask", subject=2)
    put("derivatives/brain_lesion/sub-02/anat/sub-02_seg.nii.gz", "lesion-mask", subject=2)
    found = bids(put)
    names_of = [scan.files["lesion_mask"].name for scan in found.scans]
    assert names_of == ["sub-01_lesion_mask.nii.gz", "sub-02_desc-manual_mask.nii.gz"]
    assert "lesion_mask_2" not in found.scans[1].files
    unclear = {about for what, about in output(found) if what == "masks identified neither as lesions nor as brain"}
    assert unclear == {
        "derivatives/lesion-tool/sub-02/anat/sub-02_label-GM_dseg.nii.gz",
        "derivatives/brain_lesion/sub-02/anat/sub-02_seg.nii.gz",
    }


def test_bids_reports_every_unused_file(put):
    put("sub-01/anat/sub-01_FLAIR.nii.gz")
    left = ["sub-01/anat/sub-01_PDT2.nii.gz", "derivatives/prep/sub-01/anat/sub-01_desc-preproc_FLAIR.nii.gz"]
    for place in left:
        put(place)
    found = bids(put)
    assert [about for what, about in sorted(output(found)) if what.startswith("scans of other kinds")] == sorted(left)


def test_derivatives_are_found_from_the_parent_folder_and_otherwise_reported(put):
    put("rawdata/sub-01/anat/sub-01_FLAIR.nii.gz")
    put("derivatives/manual/sub-01/anat/sub-01_label-lesion_mask.nii.gz", "lesion-mask")
    (put.root / "participants.tsv").write_text("participant_id\tdisease\nsub-01\tMS\n")
    (scan,) = bids(put).scans
    assert (scan.disease, "lesion_mask" in scan.files) == ("MS", True)
    below = read(BidsReader(**BIDS), put.root / "rawdata")
    assert (below.scans[0].disease, "lesion_mask" in below.scans[0].files) == ("MS", False)
    assert "derivatives beside the folder" in reasons(below)


@pytest.mark.parametrize(
    "name",
    [
        "sub-01_lesion-manual", "sub-01_lesion-manual_mask", "sub-01_FLAIR_lesion-manual", "sub-01_label-lesion",
        "sub-01_label-lesion_mask", "sub-01_label-lesion_FLAIR", "sub-01_FLAIR_label-lesion", "sub-01_desc-lesion_mask",
        "sub-01_lesion-mask", "sub-01_FLAIR-lesion", "sub-01_lesionmask", "sub-01_desc-manual_label-L_mask",
        "sub-01_ms-lesions_seg", "sub-01_label-lesion_roi",
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["sub-01/anat", "derivatives/manual/sub-01/anat"])
def test_masks_of_lesions_have_many_names(put, name, place):
    put("sub-01/anat/sub-01_FLAIR.nii.gz")
    put(f"{place}/{name}.nii.gz", "lesion-mask")
    (scan,) = bids(put).scans
    assert {key: file.name for key, file in scan.files.items()} == {
        "flair": "sub-01_FLAIR.nii.gz",
        "lesion_mask": f"{name}.nii.gz",
    }


def test_numbers_match_without_leading_zeros_if_unambiguous(put):
    put("sub-01/ses-01/anat/sub-01_ses-01_run-02_FLAIR.nii.gz")
    put("derivatives/m/sub-1/ses-1/anat/sub-1_ses-1_run-2_label-lesion_mask.nii.gz", "lesion-mask")
    put("sub-7/anat/sub-7_FLAIR.nii.gz")
    put("sub-07/anat/sub-07_FLAIR.nii.gz")
    put("derivatives/m/sub-7/anat/sub-7_label-lesion_mask.nii.gz", "lesion-mask")
    (put.root / "participants.tsv").write_text("participant_id\tdisease\nsub-1\tMS\nsub-07\tNMOSD\n")
    found = bids(put)
    assert names(found) == [("sub-01", "ses-01", "MS"), ("sub-07", None, "NMOSD"), ("sub-7", None, None)]
    assert ["lesion_mask" in scan.files for scan in found.scans] == [True, False, True]


def test_a_consensus_replaces_its_raters(put):
    put("sub-01/anat/sub-01_FLAIR.nii.gz")
    for rater in ("expert1", "expert2", "expert3", "consensus"):
        put(f"derivatives/manual/sub-01/anat/sub-01_desc-{rater}_label-lesion_mask.nii.gz", "lesion-mask")
    found = bids(put)
    (scan,) = found.scans
    assert [(key, file.name) for key, file in scan.files.items() if "mask" in key] == [
        ("lesion_mask", "sub-01_desc-consensus_label-lesion_mask.nii.gz")
    ]
    assert "consensus masks, used instead of single raters' masks: derivatives/manual/sub-01" in reasons(found)
    assert sum(what == "single raters' masks, not used because of a consensus" for what, _ in output(found)) == 3


def test_a_broken_link_to_participants_is_reported(bids_folder):
    file = bids_folder.root / "participants.tsv"
    file.unlink()
    file.symlink_to(bids_folder.root / "annexed")
    found = bids(bids_folder)
    assert [scan.disease for scan in found.scans] == [None] * 3
    assert "a broken link (fetch the file first): disease, age and sex are unknown" in reasons(found)


@pytest.mark.parametrize("label", ["NA", "None", "null", "nan", "1e5", "007", "Müller", "李明"])
@pytest.mark.parametrize("mark", ["\t", ";", ","])
def test_participants_keep_their_names_and_rows(put, label, mark):
    put(f"sub-{label}/anat/sub-{label}_FLAIR.nii.gz")
    text = f"\ufeffparticipant_id{mark}age{mark}diagnosis\nsub-{label}{mark}NA{mark}MS\n"
    (put.root / "participants.tsv").write_text(unicodedata.normalize("NFD", text))
    found = bids(put)
    assert names(found) == [(f"sub-{label}", None, "MS")]
    assert found.scans[0].columns == {}
    (case,) = write_cohort_table(found, put.root / "out.tsv", classes=["MS", "NMOSD"])
    assert (case.subject, case.disease) == (f"sub-{label}", "MS")


LEVELS = {"0": "control", "1": "MS", "2": {"Description": "neuromyelitis optica spectrum disorder (NMOSD)"}}


def coded(put, cells, levels=None):
    """Write a data set whose participants have codes; return the diseases in its table."""
    lines = ["participant_id\tdiagnosis"]
    for number, cell in enumerate(cells):
        put(f"sub-{number}/anat/sub-{number}_FLAIR.nii.gz")
        lines.append(f"sub-{number}\t{cell}")
    (put.root / "participants.tsv").write_text("\n".join(lines))
    if levels is not None:
        (put.root / "participants.json").write_text(json.dumps({"diagnosis": {"Levels": levels}}))

    def diseases(classes=("MS", "NMOSD"), **changes):
        out = put.root / "out.tsv"
        out.unlink(missing_ok=True)
        return [case.disease for case in write_cohort_table(bids(put, **changes), out, classes=classes)]

    return diseases


@pytest.mark.parametrize("cells", [("0", "1", "2"), ("0.0", "1.0", "2.0")])
def test_codes_have_the_meaning_of_the_side_car(put, cells):
    diseases = coded(put, cells, LEVELS)
    assert diseases() == [None, "MS", "NMOSD"]
    assert diseases(["NMOSD", "control", "MS"]) == ["control", "MS", "NMOSD"]
    assert diseases(labels={1: "NMOSD"}) == [None, "NMOSD", "NMOSD"]
    assert diseases(labels={"MS": None}) == [None, None, "NMOSD"]


@pytest.mark.parametrize("cells", [("0", "1"), ("1", "2"), ("1.0", "2.0"), ("True", "False"), ("a b", "1 2")])
def test_unexplained_codes_need_labels(put, cells):
    diseases = coded(put, cells)
    with pytest.raises(CohortError, match=r"expected MS, NMOSD or nothing") as error:
        diseases()
    assert all(cell in str(error.value) for cell in cells)
    assert diseases(labels=dict(zip(cells, ("HC", "MS"), strict=True))) == [None, "MS"]
    assert diseases(["HC", "MS"], labels=dict(zip(cells, ("HC", "MS"), strict=True))) == ["HC", "MS"]


def test_a_code_without_a_class_needs_a_label(put):
    diseases = coded(put, ("1", "2"), {"1": "MS", "2": "MOGAD"})
    with pytest.raises(CohortError, match=r"found 2 \(MOGAD; 1 scan\); add 'labels=\{2: null\}'"):
        diseases()


def test_labels_given_by_the_user_precede_the_side_car(put):
    diseases = coded(put, ("MS", "RRMS"), {"MS": "seen at the clinic before 2010", "RRMS": "Multiple sclerosis"})
    assert diseases() == ["MS", "MS"]


def test_numeric_class_names_are_not_codes(put):
    assert coded(put, ("1", "2", "3"))(["1", "2", "3"]) == ["1", "2", "3"]


@pytest.mark.parametrize("content", ["{", "[]", "7", '{"diagnosis": {"Levels": [0, 1]}}', '{"diagnosis": 3}'])
def test_an_empty_side_car_leaves_codes_unexplained(put, content):
    diseases = coded(put, ("0", "1"))
    (put.root / "participants.json").write_text(content)
    with pytest.raises(CohortError, match=r"add 'labels=\{0: null, 1: null\}'"):
        diseases()
