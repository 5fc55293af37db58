"""Mutated tables and side-cars: each is read unchanged or refused in one sentence, without a traceback.

What is read is compared with a reading of its own: the csv module, once for each mark that may separate columns.
"""

import csv
import io
import json
import random

import pytest

from joint_seg_cls.data.split_text import read_folds
from joint_seg_cls.errors import InputError
from joint_seg_cls.scan import read_cohort
from joint_seg_cls.scan.readers import BidsReader, write_cohort_table
from joint_seg_cls.scan.readers.sidecar import acquisition

#: Mutations of each kind in the default run, and in the long one: four kinds of files.
FEW, MANY = 25, 600
MARKS = "\t,;"
MISSING = ("n/a", "N/A", "NA", "nan", "NaN")
CELLS = (
    *("", " ", "NA", "None", "null", "nan", "n/a", "0", "1", "1.0", "007", "1e5", "True", "=1+1", "-", "@x", "'"),
    *(
        '"',
        '""',
        "a,b",
        "a;b",
        "x" * 5000,
        "~no_such_user/a.nii",
        "../",
        ".",
        "/",
        "a\x00b",
        "Müller",
        "李明",
        "\ufeff",
    ),
    *("MS", "NMOSD", "ms ", "RRMS", "a.nii.gz", "b.nii.gz", "\u2028", "\x0b", "\x85", "-1", "9" * 5000, "train"),
)
BYTES = b"\t,;\"\n\r\x00\xff\xc3\xa4 ='\\{}[]:09aZ"


def mutated(rng, text):
    """Return the bytes of a table or side-car with one to three faults."""
    lines = text.split("\n")
    for _ in range(rng.randint(0, 2)):
        kind, at = rng.randrange(6), rng.randrange(len(lines))
        if kind == 0:
            lines.insert(at, lines[at])
        elif kind == 1 and len(lines) > 1:
            del lines[at]
        elif kind == 2:
            lines[at], lines[-1] = lines[-1], lines[at]
        else:
            mark = max(MARKS, key=lines[at].count)
            cells = lines[at].split(mark)
            cells[rng.randrange(len(cells))] = rng.choice(CELLS)
            lines[at] = mark.join(cells)
    end = rng.choice(("\n", "\n", "\n", "\r\n", "\r"))
    text = rng.choice(("", "", "", "\ufeff")) + end.join(lines)
    content = bytearray(text.encode(rng.choice(("utf-8",) * 8 + ("latin-1", "utf-16")), "replace"))
    for _ in range(rng.randint(0, 2)):
        kind, at = rng.randrange(4), rng.randrange(len(content) + 1)
        if kind == 0:
            content[at:at] = bytes([rng.choice(BYTES)])
        elif kind == 1:
            del content[at : at + rng.randint(1, 3)]
        elif kind == 2 and at < len(content):
            content[at] = rng.choice(BYTES)
        elif rng.random() < 0.2:
            del content[at:]
    return bytes(content)


def readings(content):
    """Return the rows of a table as the csv module reads them, for each mark; cells stripped."""
    text = content.decode("utf-8-sig")
    found = []
    for mark in MARKS:
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark))
        except csv.Error:
            continue
        rows = [[cell.strip() for cell in row] for row in rows if row]
        header = rows[0] if rows else []
        rows = [dict(zip(header, [*row, *[""] * len(header)], strict=False)) for row in rows[1:] if any(row)]
        found.append(rows)
    return found


def known(cell):
    return "" if cell in MISSING else cell


def refused(error):
    """Whether an error is one sentence that names the fault."""
    text = str(error)
    assert "\n" not in text
    assert len(text) < 3000
    assert text.count("; ") >= 1


def cohort(rng, folder, count):
    rows = ["subject\tsession\tflair\tlesion_mask\tdisease\tage"]
    rows += [f"s{n}\t{n % 2}\t{'ab'[n % 2]}.nii.gz\ta.nii.gz\t{('MS', 'NMOSD')[n % 2]}\t{30 + n}" for n in range(5)]
    for name in ("a.nii.gz", "b.nii.gz"):
        (folder / name).touch()
    read = 0
    for _ in range(count):
        mark = rng.choice(MARKS)
        path = folder / rng.choice(("c.tsv", "c.csv"))
        path.write_bytes(mutated(rng, "\n".join(rows).replace("\t", mark)))
        try:
            cases = read_cohort(path)
        except InputError as error:
            refused(error)
            continue
        found = [
            (case.subject, case.session or "", case.images[0].name, len(case.lesion_masks), case.disease or "")
            for case in cases
        ]
        expected = [
            [
                (row["subject"], known(row.get("session", "")), row["flair"].rsplit("/", 1)[-1],
                 int(bool(known(row.get("lesion_mask", "")))), known(row.get("disease", "")).upper())
                for row in rows_of if any(map(known, row.values()))
            ]
            for rows_of in readings(path.read_bytes())
            if rows_of and {"subject", "flair"} <= rows_of[0].keys()
        ]  # fmt: skip
        assert found in expected, path.read_bytes()
        read += 1
    return read


def participants(rng, folder, count):
    for n in range(4):
        scan = folder / f"sub-{n}" / "anat" / f"sub-{n}_FLAIR.nii.gz"
        scan.parent.mkdir(parents=True)
        scan.touch()
    rows = ["participant_id\tage\tdiagnosis", "sub-0\t30\t0", "sub-1\t31\t1", "sub-2\t32\t2", "sub-3\tn/a\tn/a"]
    levels = {"0": "control", "1": "multiple sclerosis", "2": {"Description": "NMOSD"}}
    side_car = json.dumps({"diagnosis": {"Levels": levels}}, indent=1)
    meanings = {"": None, "MS": "MS", "NMOSD": "NMOSD"}
    named = {"control": None, "multiple sclerosis": "MS", "NMOSD": "NMOSD"}
    reader = BidsReader({}, ["lesion"], ["brain"], [])
    read = 0
    for number in range(count):
        table, record = folder / "participants.tsv", folder / "participants.json"
        is_table = rng.random() < 0.5
        table.write_bytes(mutated(rng, "\n".join(rows)) if is_table else "\n".join(rows).encode())
        record.write_bytes(side_car.encode() if is_table else mutated(rng, side_car))
        out = folder / f"out{number}.tsv"
        try:
            cases = write_cohort_table(reader.read(folder, out), out, classes=["MS", "NMOSD"])
        except InputError as error:
            refused(error)
            assert not out.exists()
            continue
        codes = meanings | {"0": None, "1": "MS", "2": "NMOSD"}
        if not is_table:  # a damaged side-car explains less, never something else
            codes |= {str(code): named.get(str(m), "?") for code, m in told_levels(record).items()}
        for case in cases:
            cells = [
                known(row.get("diagnosis", ""))
                for rows_of in readings(table.read_bytes())
                for row in rows_of
                if row.get("participant_id", "").casefold().removeprefix("sub-").lstrip("0") in plain(case.subject)
            ]
            assert case.disease is None or case.disease in {
                codes.get(cell.split(".")[0].upper(), "?") for cell in cells
            }, case
        read += 1
    return read


def plain(subject):
    number = subject.removeprefix("sub-")
    return (number.lstrip("0"), number)


def told_levels(path):
    try:
        levels = json.loads(path.read_bytes().decode("utf-8-sig"))["diagnosis"]["Levels"]
        return {code: m["Description"] if isinstance(m, dict) else m for code, m in levels.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def side_cars(rng, folder, count):
    facts = {"Manufacturer": "GE", "ManufacturersModelName": "A", "MagneticFieldStrength": 3, "EchoTime": 0.12}
    values = (None, True, -1, 0, 1e300, float("nan"), 10**400, [], {}, "x", "1.5", [[[]]], "a\nb", "\ud800")
    read = 0
    for _ in range(count):
        record = dict(facts)
        for key in rng.sample(list(facts), rng.randint(0, 2)):
            record[key] = rng.choice(values)
        text = json.dumps(record, indent=1) if rng.random() < 0.97 else "[" * 100000
        path = folder / "sub-1_FLAIR.json"
        path.write_bytes(mutated(rng, text))
        columns, remarks = acquisition(folder, folder / "sub-1_FLAIR.nii.gz")
        try:
            told = json.loads(path.read_bytes().decode("utf-8-sig"))
        except (ValueError, RecursionError):
            told = None
        assert bool(remarks) == (not isinstance(told, dict))
        told = told if isinstance(told, dict) else {}
        for column, key, factor in (("te_ms", "EchoTime", 1000), ("field_strength_t", "MagneticFieldStrength", 1)):
            assert column not in columns or float(columns[column]) == pytest.approx(told[key] * factor, rel=1e-4)
        assert "manufacturer" not in columns or columns["manufacturer"] == " ".join(told["Manufacturer"].split())
        assert all("\n" not in cell for cell in columns.values())
        read += not remarks
    return read


def splits(rng, folder, count):
    names = [f"s{n}" for n in range(6)]
    table = "\n".join(["subject,fold", *(f"{name},{n % 2}" for n, name in enumerate(names))])
    parts = [{"train": names[:3], "test": names[3:]}, {"train": names[3:], "val": names[:1], "test": names[1:3]}]
    read = 0
    for _ in range(count):
        is_table = rng.random() < 0.5
        path = folder / ("s.csv" if is_table else "s.json")
        path.write_bytes(mutated(rng, table if is_table else json.dumps(parts, indent=1)))
        try:
            wanted = read_folds(path)
        except InputError as error:
            refused(error)
            continue
        tested = {(name, fold) for fold, parts_of in wanted.items() for name in parts_of.test or ()}
        if is_table:
            rows = [rows for rows in readings(path.read_bytes()) if rows and {"fold"} <= {k.lower() for k in rows[0]}]
            cells = [{(next(iter(r.values())), r.get("fold", r.get("Fold", ""))) for r in rows_of} for rows_of in rows]
            assert {(name, str(fold)) for name, fold in tested} in cells, path.read_bytes()
        else:
            told = json.loads(path.read_bytes().decode("utf-8-sig"))
            assert sum(len(part or ()) for parts_of in wanted.values() for part in parts_of[:3]) == leaves(told)
        read += 1
    return read


def leaves(told):
    if isinstance(told, dict):
        return sum(map(leaves, told.values()))
    return sum(map(leaves, told)) if isinstance(told, list) else 1


KINDS = (cohort, participants, side_cars, splits)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_mutated_file_is_read_unchanged_or_refused(kind, tmp_path):
    assert 0 < kind(random.Random(0), tmp_path, FEW) < FEW


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 3))
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_many_mutated_files_are_read_unchanged_or_refused(kind, tmp_path, seed):
    assert 0 < kind(random.Random(seed), tmp_path, MANY // 2) < MANY // 2
