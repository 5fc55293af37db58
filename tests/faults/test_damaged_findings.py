"""Changed findings are refused or excluded by name, without other exceptions."""

import json
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from joint_seg_cls.casepage import write_index
from joint_seg_cls.casepage.boxes import boxes_of
from joint_seg_cls.casepage.diagnosis import diagnosis_of
from joint_seg_cls.casepage.hidden import without_names
from joint_seg_cls.errors import InputError
from joint_seg_cls.inference import finished, refuse_foreign_files, summary_of, write_failures, write_predictions
from joint_seg_cls.scan.prediction_record import prediction_record

RECORD = {
    "id": "p1",
    "scan": "p1.nii.gz",
    "classes": ["MS", "NMOSD"],
    "lesion_count": 2,
    "lesion_volume_ml": 0.5,
    "registration": {"similarity": 0.5, "withheld": None},
    "regions": {"periventricular": {"count": 2, "volume_ml": 0.5}},
    "criteria": {"dawson_finger": {"value": "true", "lesions": [1]}},
    "disease": "MS",
    "diagnosis": "indeterminate",
    "reasons": ["the probability of MS is 0.55"],
    "disease_probability": {"MS": 0.55, "NMOSD": 0.45},
    "uncalibrated_probability": {"MS": 0.6, "NMOSD": 0.4},
    "disease_disagreement": {"MS": 0.1, "NMOSD": 0.1},
    "brain_volume_ml": 1200.0,
    "model": {"variant": "joint", "sha256": "ab"},
    "preprocessing": {"sources": ["p1.nii.gz"], "modalities": [{"move": np.eye(4).tolist()}]},
    "warnings": ["p1.nii.gz has thick slices"],
    "trust": {
        "grade": "B",
        "reason": None,
        "recovery": {"below": {"injected": 9, "found": 5, "low": 0.1, "high": 0.9}},
    },
    "explanation": {"location_map": {"lesion_share": 0.4}, "deletion": {"fall": 0.3, "control_fall": None}},
    "made_from": {"images": ["0" * 32]},
    "cost": {"seconds": 3.0, "peak_memory_mb": None},
    "files": ["p1_lesions.tsv"],
    "checksums": {"p1_lesions.tsv": "0"},
}
WRONG = [None, True, -1, 1e999, "x", "", [], {}, [1], {"a": 1}, [{"a": 1}], ["../.."], "../../x", "\0", "\ud800", 5]


def places(value):
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def mutations(count):
    draw = random.Random(0)
    for _ in range(count):
        record = json.loads(json.dumps(RECORD))
        for _ in range(draw.randrange(1, 3)):
            holder, key = draw.choice(list(places(record)))
            if draw.random() < 0.2:
                del holder[key]
            else:
                holder[key] = draw.choice(WRONG)
        yield record


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_every_reader_accepts_or_excludes_a_changed_record(tmp_path, count, caplog):
    out = tmp_path / "out"
    out.mkdir()
    page = out / "p1.html"
    page.write_text("joint_seg_cls")
    (out / "p1_lesions.tsv").write_text("lesion\n")
    read = 0
    for record in mutations(count):
        (out / "p1.json").write_text(json.dumps(record))
        found = prediction_record(out / "p1.json")
        if found is not None:
            read += 1
            assert found["id"] == "p1"
            summary_of(found), diagnosis_of(found), boxes_of(found, pd.DataFrame())
            [without_names(line, found) for line in found["warnings"]]
        caplog.clear()
        write_predictions([], out)
        assert ("left out of predictions.tsv" in caplog.text) == (found is None and record.keys() >= set(REQUIRED))
        write_index(out)
        try:
            finished("p1", RECORD["made_from"], out)
            refuse_foreign_files(["p1"], out)
        except InputError:
            pass
        assert sorted(path.name for path in tmp_path.rglob("*") if path.parent == tmp_path) == ["out"]
    assert 0 < read < count


REQUIRED = ("id", "scan", "brain_volume_ml", "warnings")


@pytest.mark.parametrize("name", ["../p1", "..", "p2", "p1\0", "", 5, None])
def test_a_record_may_name_only_its_own_files(tmp_path, name):
    (tmp_path / "p1.json").write_text(json.dumps(RECORD | {"id": name}))
    assert prediction_record(tmp_path / "p1.json") is None
    (tmp_path / "p1.json").write_text(json.dumps(RECORD | {"files": [f"../{name}"]}))
    assert prediction_record(tmp_path / "p1.json") is None


@pytest.mark.parametrize("table", ["predictions.tsv", "failures.tsv", "p1_lesions.tsv"])
@pytest.mark.parametrize(
    "content", [b"", b"mine\t1\n", b"id,scan,reason\n", b"\x00\xff\xfe\n", b"id\tscan\na\tb\tc\td\n"]
)
def test_a_table_of_other_origin_is_kept(tmp_path, table, content):
    (tmp_path / table).write_bytes(content)
    with pytest.raises(InputError, match="a file of other origin that the prediction would replace") as caught:
        refuse_foreign_files(["p1"], tmp_path)
    assert Path(caught.value.where).name == table
    assert (tmp_path / table).read_bytes() == content


def test_failures_of_earlier_commands_remain_in_their_table(tmp_path):
    row = {"id": "=a", "scan": "=a.nii.gz", "reason": "expected x, found /lab/someone/y"}
    write_failures([row], tmp_path)
    refuse_foreign_files(["=a"], tmp_path)
    write_failures([{"id": "b", "scan": "b.nii.gz", "reason": "r"}], tmp_path)
    assert (tmp_path / "failures.tsv").read_text() == (
        "id\tscan\treason\nb\tb.nii.gz\tr\n'=a\t'=a.nii.gz\texpected x, found y\n"
    )
