"""DICOM folders become cohorts: the right series, the source's voxels and grid, and no names."""

import gzip
import itertools
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="pip install 'joint_seg_cls[dicom]'")
pytest.importorskip("dcm2niix", reason="pip install 'joint_seg_cls[dicom]'")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage  # noqa: E402

from joint_seg_cls.errors import CohortError  # noqa: E402

#: Header values that must not be written: names, dates and places.
IDENTIFYING = {
    "PatientName": "Zwetschkenbaum^Aurelia",
    "PatientID": "MRN-8675309",
    "OtherPatientIDs": "PASS-5551212",
    "PatientBirthDate": "19610307",
    "PatientAddress": "Mozartgasse 17",
    "PatientTelephoneNumbers": "+43-1-5550199",
    "PatientComments": "niece of the mayor",
    "StudyDate": "20190823",
    "SeriesDate": "20190824",
    "AcquisitionDate": "20190825",
    "ContentDate": "20190826",
    "StudyTime": "134511.120000",
    "SeriesTime": "134612.230000",
    "AcquisitionTime": "134713.340000",
    "AccessionNumber": "ACC-424242",
    "StudyID": "STUDY-9911",
    "InstitutionName": "Sankt Nimmerlein Klinik",
    "InstitutionAddress": "Hinterm Mond 3",
    "InstitutionalDepartmentName": "Abteilung Regenbogen",
    "ReferringPhysicianName": "Hohenstaufen^Balthasar",
    "PerformingPhysicianName": "Krautwurst^Eusebius",
    "OperatorsName": "Pumpernickel^Ottokar",
    "StationName": "MRKELLER7",
    "DeviceSerialNumber": "SN-31337",
    "ImageComments": "seen by Krautwurst",
    "StudyDescription": "Kopf Aurelia",
    "RequestedProcedureDescription": "Kopf wegen Sehstoerung",
    "ProtocolName": "t2_tirm_dark-fluid_Aurelia",
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.777000111",
}
PRIVATE = "privates Geheimnis"
STUDY_UID, SERIES_UID = "1.2.826.0.1.3680043.8.498.13579", "1.2.826.0.1.3680043.8.498.24680"
_instances = itertools.count(1)


def header(**tags):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = Dataset()
    data.file_meta = meta
    given = IDENTIFYING | {
        "SOPClassUID": MRImageStorage,
        "Modality": "MR",
        "StudyInstanceUID": STUDY_UID,
        "SeriesInstanceUID": SERIES_UID,
        "SeriesNumber": 7,
        "SeriesDescription": "t2_tirm_tra_dark-fluid",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
        "PatientAge": "058Y",
        "PatientSex": "F",
        "Manufacturer": "SIEMENS",
        "ManufacturerModelName": "Prisma",
        "MagneticFieldStrength": 3,
        "RepetitionTime": 9000,
        "EchoTime": 81,
        "InversionTime": 2500,
        "MRAcquisitionType": "2D",
        "ScanningSequence": ["SE", "IR"],
        "PatientPosition": "HFS",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
    }
    for name, value in (given | tags).items():
        setattr(data, name, value)
    block = data.private_block(0x0029, "OUR SECRETS", create=True)
    block.add_new(0x01, "LO", PRIVATE)
    data.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.{next(_instances)}00042"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    return data


def place(affine):
    """Return DICOM's directions, spacings, and positions of the slices along the third axis."""
    lps = np.diag([-1, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    across, down, through = (lps[:3, :3] / spacing).T
    return np.concatenate([across, down]).round(8), spacing, through, lps


def write_series(folder, values, affine, name="{0:05d}", slices=None, **tags):
    """Write one classic file a slice, in an order that is not spatial."""
    folder.mkdir(parents=True, exist_ok=True)
    orientation, spacing, _, lps = place(affine)
    chosen = list(range(values.shape[2])) if slices is None else list(slices)
    for k in sorted(chosen, key=lambda k: (k % 2, k)):
        data = header(**tags)
        data.InstanceNumber = k + 1
        data.ImageOrientationPatient = [f"{value:.8f}" for value in orientation]
        data.ImagePositionPatient = [f"{value:.6f}" for value in (lps @ [0, 0, k, 1])[:3]]
        data.PixelSpacing = [f"{spacing[1]:.8f}", f"{spacing[0]:.8f}"]
        data.SliceThickness = f"{spacing[2] * 0.9:.6f}"
        data.SpacingBetweenSlices = f"{spacing[2]:.8f}"
        data.Columns, data.Rows = values.shape[:2]
        data.PixelData = np.ascontiguousarray(values[:, :, k].T.astype("<i2")).tobytes()
        data.save_as(folder / name.format(k + 1), enforce_file_format=True)


def write_enhanced(file, values, affine, **tags):
    """Write all slices into one enhanced multi-frame file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    orientation, spacing, _, lps = place(affine)
    data = header(SOPClassUID=EnhancedMRImageStorage, **tags)
    for name in ("RepetitionTime", "EchoTime", "InversionTime"):
        delattr(data, name)
    data.Columns, data.Rows, data.NumberOfFrames = *values.shape[:2], values.shape[2]
    shared = Dataset()
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = [f"{spacing[1]:.8f}", f"{spacing[0]:.8f}"]
    shared.PixelMeasuresSequence[0].SliceThickness = f"{spacing[2]:.8f}"
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [f"{value:.8f}" for value in orientation]
    shared.MRTimingAndRelatedParametersSequence = [Dataset()]
    shared.MRTimingAndRelatedParametersSequence[0].RepetitionTime = 8000.0
    shared.MREchoSequence = [Dataset()]
    shared.MREchoSequence[0].EffectiveEchoTime = 120.0
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for k in range(values.shape[2]):
        frame = Dataset()
        frame.PlanePositionSequence = [Dataset()]
        frame.PlanePositionSequence[0].ImagePositionPatient = [f"{value:.6f}" for value in (lps @ [0, 0, k, 1])[:3]]
        frame.FrameContentSequence = [Dataset()]
        frame.FrameContentSequence[0].DimensionIndexValues = [1, k + 1]
        frame.FrameContentSequence[0].InStackPositionNumber = k + 1
        frame.FrameContentSequence[0].StackID = "1"
        frames.append(frame)
    data.PerFrameFunctionalGroupsSequence = Sequence(frames)
    data.PixelData = np.ascontiguousarray(values.transpose(2, 1, 0).astype("<i2")).tobytes()
    data.save_as(file, enforce_file_format=True)


@pytest.fixture
def flair(phantom):
    """An oblique simulated scan: its values and affine."""
    image = nib.load(sorted(phantom.glob("sub-001/ses-01/*_flair.nii.gz"))[0])
    return np.asarray(image.dataobj), image.affine


def bytes_of(folder):
    """Return all bytes written to a folder, including file names and the content of compressed files."""
    content = b""
    for path in sorted(folder.rglob("*")):
        content += str(path.relative_to(folder)).encode() + b"\n"
        if path.is_file():
            raw = path.read_bytes()
            content += raw + (gzip.decompress(raw) if path.suffix == ".gz" else b"")
    return content


def rows(table):
    header, *lines = [line.split("\t") for line in table.read_text().splitlines()]
    return [dict(zip(header, line, strict=True)) for line in lines]


def secrets():
    values = [str(value) for value in IDENTIFYING.values() if value != IDENTIFYING["ProtocolName"]]
    parts = [part for value in values for part in value.split("^")]
    return [
        *values,
        *parts,
        "Aurelia",
        "Klinik",
        PRIVATE,
        STUDY_UID,
        SERIES_UID,
        "3680043",
        "t2_tirm",
        "20190823",
        "1961",
    ]


def test_the_converted_scan_equals_the_source_without_names(flair, tmp_path, jsc):
    values, affine = flair
    write_series(tmp_path / "in" / "Zwetschkenbaum Aurelia" / "20190823", values, affine, name="IM{0}")
    (tmp_path / "in" / "notes.txt").write_text("Aurelia was late")
    (tmp_path / "in" / ".DS_Store").write_bytes(b"x")
    out = tmp_path / "out"
    code, output, err = jsc("cohort", "source=dicom", f"path={tmp_path / 'in'}", f"out={out / 'cohort.tsv'}")
    assert code == 0, err
    (row,) = rows(out / "cohort.tsv")
    assert (row["subject"], row["session"], row["disease"]) == ("sub-001", "ses-01", "")
    assert row["flair"] == "cohort_scans/sub-001_ses-01_flair.nii.gz"
    assert (row["manufacturer"], row["model"], row["field_strength_t"]) == ("SIEMENS", "Prisma", "3")
    assert (row["tr_ms"], row["te_ms"], row["ti_ms"]) == ("9000", "81", "2500")
    assert float(row["slice_thickness_mm"]) == pytest.approx(0.9 * np.linalg.norm(affine[:3, 2]), rel=1e-4)
    assert not {"age", "sex"} & set(row)
    made = nib.load(out / row["flair"])
    turn = nib.orientations.ornt_transform(nib.io_orientation(made.affine), nib.io_orientation(affine))
    np.testing.assert_array_equal(nib.apply_orientation(np.asarray(made.dataobj), turn), values)
    np.testing.assert_allclose(made.as_reoriented(turn).affine, affine, atol=2e-3)
    assert made.header.get_xyzt_units()[0] == "mm"
    assert not any(made.header[name].item() for name in ("descrip", "aux_file", "db_name", "intent_name", "data_type"))
    assert len(made.header.extensions) == 0
    written = bytes_of(out)
    for secret in secrets():
        assert secret.casefold() not in (output + err).casefold(), secret
        assert secret.casefold().encode() not in written.lower(), secret
    assert sorted(path.name for path in out.iterdir()) == ["cohort.tsv", "cohort_scans"]
    again, output, _ = jsc("cohort", "source=dicom", f"path={tmp_path / 'in'}", f"out={out / 'cohort.tsv'}")
    assert (again, "unchanged" in output) == (0, True)
    assert bytes_of(out) == written


def test_an_enhanced_file_is_converted_too(flair, tmp_path, jsc):
    values, affine = flair
    write_enhanced(tmp_path / "in" / "multi frame", values, affine)
    code, _, err = jsc("cohort", "source=dicom", f"path={tmp_path / 'in'}", f"out={tmp_path / 'c.tsv'}")
    assert code == 0, err
    (row,) = rows(tmp_path / "c.tsv")
    assert (row["tr_ms"], row["te_ms"]) == ("8000", "120")
    made = nib.load(tmp_path / row["flair"])
    turn = nib.orientations.ornt_transform(nib.io_orientation(made.affine), nib.io_orientation(affine))
    np.testing.assert_array_equal(nib.apply_orientation(np.asarray(made.dataobj), turn), values)
    np.testing.assert_allclose(made.as_reoriented(turn).affine, affine, atol=2e-3)


def test_an_export_with_one_study_per_file_is_one_scan(flair, tmp_path, jsc):
    values, affine = flair
    for k in range(values.shape[2]):
        tags = {"StudyTime": f"1345{k:02d}.5", "StudyInstanceUID": f"1.2.4.{k + 1}"}
        write_series(tmp_path / "in", values, affine, slices=[k], **tags)
    code, output, err = jsc("cohort", "source=dicom", f"path={tmp_path / 'in'}", f"out={tmp_path / 'c.tsv'}")
    assert code == 0, err
    assert "1 scan of 1 subject" in output
    made = nib.load(tmp_path / "c_scans" / "sub-001_ses-01_flair.nii.gz")
    turn = nib.orientations.ornt_transform(nib.io_orientation(made.affine), nib.io_orientation(affine))
    np.testing.assert_array_equal(nib.apply_orientation(np.asarray(made.dataobj), turn), values)


def coarse(values, affine, step):
    """Return every ``step``-th slice: the same brain in thicker slices."""
    scale = np.diag([1, 1, step, 1.0])
    return values[:, :, ::step], affine @ scale


def test_the_series_of_each_visit_is_chosen_by_description_and_geometry(flair, tmp_path, jsc):
    values, affine = flair
    tree = tmp_path / "in"
    first = {"StudyInstanceUID": "1.2.3.1", "StudyDate": "20210102"}
    second = {"StudyInstanceUID": "1.2.3.2", "StudyDate": "20200102"}
    other = {"StudyInstanceUID": "1.2.3.3", "PatientID": "P-OTHER", "PatientSex": "M"}
    thick, thick_affine = coarse(values, affine, 2)

    def series(number, place_=first, data=values, at=affine, **tags):
        uid = f"{place_['StudyInstanceUID']}.{number}"
        plain = {"SeriesDescription": "Ax FLAIR", "ProtocolName": "", "SeriesNumber": number, "SeriesInstanceUID": uid}
        write_series(tree / uid, data, at, **(plain | place_ | tags))

    series(1, SeriesDescription="FLAIR localizer")
    series(2, SeriesDescription="FLAIR 3D MPR cor")
    series(3, data=thick, at=thick_affine)
    series(4)
    series(5, SeriesDescription="T1 FLAIR")
    series(6, ImageType=["DERIVED", "SECONDARY"])
    series(7, slices=range(8))
    series(8, SeriesDescription="T2 TSE")
    series(9, slices=[k for k in range(values.shape[2]) if k != 20])
    series(10, SeriesDescription="FLAIR", ImageType=["ORIGINAL", "PRIMARY", "PROJECTION IMAGE"])
    series(1, place_=second, data=thick, at=thick_affine)
    series(1, place_=other, ImageType=["DERIVED", "SECONDARY"])
    code, output, err = jsc("cohort", "source=dicom", f"path={tree}", f"out={tmp_path / 'c.tsv'}")
    assert code == 0, err
    found = {(row["subject"], row["session"]): nib.load(tmp_path / row["flair"]) for row in rows(tmp_path / "c.tsv")}
    visits = {subject: [session for who, session in found if who == subject] for subject, _ in found}
    (twice,) = (subject for subject, sessions in visits.items() if len(sessions) == 2)
    assert sorted(visits) == ["sub-001", "sub-002"]
    # the visit of 2020 is first; that of 2021 has the finer series
    assert found[twice, "ses-01"].header.get_zooms()[2] == pytest.approx(2 * np.linalg.norm(affine[:3, 2]), rel=1e-4)
    assert found[twice, "ses-02"].header.get_zooms()[2] == pytest.approx(np.linalg.norm(affine[:3, 2]), rel=1e-4)
    for number, why in (
        (1, "loc"), (2, "mpr"), (3, "preferred"), (5, "t1"), (6, "preferred"), (7, "fewer than 15"), (9, "missing"),
        (10, "PROJECTION IMAGE"),
    ):  # fmt: skip
        (line,) = (part for part in output.split(", sub-") if f"{twice[4:]} ses-02 series {number}:" in part)
        assert why in line
    assert "marked as derived" in output
    assert f"{twice} ses-02 series 8" in output


def test_the_key_and_the_person_are_written_only_on_request(flair, tmp_path, jsc):
    values, affine = flair
    write_series(tmp_path / "in" / "a", values, affine)
    words = ("cohort", "source=dicom", f"path={tmp_path / 'in'}")
    key = tmp_path / "safe" / "key.tsv"
    key.parent.mkdir()
    code, _, err = jsc(*words, f"out={tmp_path / 'one' / 'c.tsv'}", f"key={key}", "person=[age,sex]", "disease=NMOSD")
    assert code == 0, err
    (row,) = rows(tmp_path / "one" / "c.tsv")
    assert (row["age"], row["sex"], row["disease"]) == ("58", "F", "NMOSD")
    (entry,) = rows(key)
    assert (entry["subject"], entry["patient"], entry["taken"]) == ("sub-001", "MRN-8675309", "flair")
    assert key.stat().st_mode & 0o077 == 0
    for number in range(3):
        tags = {
            "PatientID": f"NEW-{number}",
            "StudyInstanceUID": f"1.2.9.{number}",
            "SeriesInstanceUID": f"1.2.9.{number}.1",
        }
        write_series(tmp_path / "in" / f"new{number}", values, affine, **tags)
    code, _, err = jsc(*words, f"out={tmp_path / 'two' / 'c.tsv'}", f"key={key}")
    assert code == 0, err
    assert {row["patient"]: row["subject"] for row in rows(key)}["MRN-8675309"] == "sub-001"
    assert [row["subject"] for row in rows(tmp_path / "two" / "c.tsv")] == [f"sub-{n:03d}" for n in range(1, 5)]


def test_pseudonyms_do_not_depend_on_the_order_of_files_and_follow_the_salt():
    from joint_seg_cls.scan.readers.pseudonyms import PatientPseudonyms

    people = [f"patient {number}" for number in range(40)]
    named = PatientPseudonyms("a")(people)
    assert named == PatientPseudonyms("a")(reversed(people))
    assert set(named.values()) == {f"sub-{number:03d}" for number in range(1, 41)}
    assert [named[who] for who in people] != sorted(named.values())
    assert PatientPseudonyms("b")(people) != named


def test_other_modalities_with_patterns_are_converted(flair, tmp_path, jsc):
    values, affine = flair
    t1 = {"SeriesDescription": "t1_mprage", "ProtocolName": "", "SeriesNumber": 8, "SeriesInstanceUID": "1.2.5"}
    write_series(tmp_path / "in" / "a", values, affine)
    write_series(tmp_path / "in" / "b", values // 2, affine, **t1)
    words = ("cohort", "source=dicom", f"path={tmp_path / 'in'}", f"out={tmp_path / 'c.tsv'}")
    code, _, err = jsc(*words, "+choice.take.t1=[mprage]")
    assert code == 0, err
    (row,) = rows(tmp_path / "c.tsv")
    assert row["t1"] == "c_scans/sub-001_ses-01_t1.nii.gz"
    assert np.asarray(nib.load(tmp_path / row["t1"]).dataobj).max() == values.max() // 2


def test_another_table_or_folder_of_scans_is_never_overwritten(flair, tmp_path, jsc):
    values, affine = flair
    write_series(tmp_path / "in", values, affine)
    words = ("cohort", "source=dicom", f"path={tmp_path / 'in'}", f"out={tmp_path / 'c.tsv'}")
    (tmp_path / "c_scans").mkdir()
    (tmp_path / "c_scans" / "mine.nii.gz").write_bytes(b"mine")
    code, _, err = jsc(*words)
    assert (code, "another folder of scans" in err) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c_scans", "in"]
    (tmp_path / "c_scans" / "mine.nii.gz").unlink()
    (tmp_path / "c_scans").rmdir()
    (tmp_path / "c.tsv").write_text("subject\tflair\n")
    code, _, err = jsc(*words)
    assert (code, "another table" in err) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.tsv", "in"]


def test_one_image_stored_twice_is_one_image(flair, tmp_path, jsc):
    values, affine = flair
    write_series(tmp_path / "in" / "a", values, affine)
    for file in (tmp_path / "in" / "a").iterdir():
        (tmp_path / "in" / f"copy {file.name}").write_bytes(file.read_bytes())
    code, _, err = jsc("cohort", "source=dicom", f"path={tmp_path / 'in'}", f"out={tmp_path / 'c.tsv'}")
    assert code == 0, err
    assert nib.load(tmp_path / "c_scans" / "sub-001_ses-01_flair.nii.gz").shape == values.shape


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"SeriesDescription": "T2 TSE", "ProtocolName": "T2 TSE"}, "take.flair="),
        ({"Modality": "CT"}, "it is not MR"),
        ({"SeriesDescription": "FLAIR spine"}, "spine"),
        ({"BurnedInAnnotation": "YES"}, "burned into"),
    ],
)
def test_a_folder_without_the_wanted_series_is_refused_without_names(flair, tmp_path, jsc, tags, message):
    values, affine = flair
    write_series(tmp_path / "in" / "Aurelia", values, affine, **tags)
    out = tmp_path / "out"
    code, output, err = jsc("cohort", "source=dicom", f"path={tmp_path / 'in'}", f"out={out / 'c.tsv'}")
    assert (code, output, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not any(secret in err for secret in secrets())
    assert not out.exists()


def test_damaged_and_other_files_are_refused(tmp_path, jsc):
    tree = tmp_path / "in"
    tree.mkdir()
    (tree / "a.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x08\x00\x16\x00UIxx")
    (tree / "b").write_bytes(b"\x08\x00\x05\x00" + b"\xff" * 50)
    (tree / "c.jpg").write_bytes(b"\xff\xd8\xff" * 100)
    (tree / "empty").touch()
    code, output, err = jsc("cohort", "source=dicom", f"path={tree}", f"out={tmp_path / 'c.tsv'}")
    assert (code, output, err.count("\n")) == (2, "", 1)
    assert "DICOM images" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_missing_packages_are_reported_with_the_install_command(tmp_path, jsc, monkeypatch):
    monkeypatch.setitem(sys.modules, "dcm2niix", None)
    code, _, err = jsc("cohort", "source=dicom", f"path={tmp_path}", f"out={tmp_path / 'c.tsv'}")
    assert code == 2
    assert 'pip install "joint_seg_cls[dicom]"' in err


def test_a_failed_conversion_writes_nothing(flair, tmp_path, jsc, monkeypatch):
    values, affine = flair
    write_series(tmp_path / "in", values, affine)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 3))
    code, _, err = jsc("cohort", "source=dicom", f"path={tmp_path / 'in'}", f"out={tmp_path / 'out' / 'c.tsv'}")
    assert code == 2
    assert "exit code 3" in err
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_a_folder_that_is_predicted_is_converted_once(tmp_path):
    from joint_seg_cls.runs.scans import find_scans
    from joint_seg_cls.training import Recipe

    recipe = Recipe({}, {}, 1, ("MS", "NMOSD"), ("flair",), (16, 16, 16), 0.5, "joint", {})
    values = np.random.default_rng(0).integers(0, 900, (48, 52, 20)).astype(np.int16)
    affine = np.diag([-2.5, -2.5, 6.0, 1.0])
    write_series(tmp_path / "dicom" / "a", values, affine)
    out = tmp_path / "out"
    for _ in range(2):
        scans, failures = find_scans([str(tmp_path / "dicom")], recipe, out)
        assert failures == []
        (scan,) = scans
        assert scan.images[0].parent == out.resolve() / "dicom_scans"
        assert np.sort(np.asarray(nib.load(scan.images[0]).dataobj), axis=None).tolist() == sorted(values.ravel())
        assert sorted(path.name for path in out.iterdir()) == ["dicom.tsv", "dicom_scans"]
    write_series(tmp_path / "knee" / "a", values, affine, SeriesDescription="knee", ProtocolName="knee")
    with pytest.raises(CohortError, match="expected a FLAIR series"):
        find_scans([str(tmp_path / "knee")], recipe, tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["dicom.tsv", "dicom_scans", "dicom_scans/notes.txt"])
def test_a_file_of_other_origin_is_refused_before_any_dicom_is_read(jsc, tmp_path, monkeypatch, name):
    import joint_seg_cls.scan.readers.dicom as reader
    from joint_seg_cls.runs.scans import find_scans
    from joint_seg_cls.training import Recipe

    values = np.random.default_rng(0).integers(0, 900, (48, 52, 20)).astype(np.int16)
    write_series(tmp_path / "in" / "a", values, np.diag([-2.5, -2.5, 6.0, 1.0]))
    file = tmp_path / "out" / name
    file.parent.mkdir(parents=True)
    file.write_text("subject\tcomment\nanna\tof a user\n")
    read = []
    monkeypatch.setattr(reader, "read_series", read.append)
    recipe = Recipe({}, {}, 1, ("MS", "NMOSD"), ("flair",), (16, 16, 16), 0.5, "joint", {})
    with pytest.raises(CohortError, match=r"found another (table|folder of scans)"):
        find_scans([str(tmp_path / "in")], recipe, tmp_path / "out")
    code, _, err = jsc("cohort", "source=dicom", f"path={tmp_path / 'in'}", f"out={tmp_path / 'out' / 'dicom.tsv'}")
    assert (code, "found another " in err) == (2, True)
    assert (read, file.read_text()) == ([], "subject\tcomment\nanna\tof a user\n")
