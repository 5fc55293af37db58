"""Every damage of frozen folds is one sentence."""

import json
from functools import partial

import pytest

from joint_seg_cls.data import Folds, freeze
from joint_seg_cls.errors import SplitError
from joint_seg_cls.scan import PreparedStore


def without(name, _, record):
    return json.dumps({key: value for key, value in record.items() if key != name})


CHANGES = {
    "cut": lambda text, _: text[: len(text) // 2],
    "empty": lambda *_: "",
    "a list": lambda *_: "[]",
    "deep": lambda *_: "[" * 100000,
    "no folds": lambda _, record: json.dumps({**record, "folds": None}),
    "folds of words": lambda _, record: json.dumps({**record, "folds": {"0": "train"}}),
    "parts of numbers": lambda _, record: json.dumps(
        {**record, "folds": {k: {part: [1, None] for part in v} for k, v in record["folds"].items()}}
    ),
    "parts of text": lambda _, record: json.dumps(
        {**record, "folds": {k: dict.fromkeys(v, "s0") for k, v in record["folds"].items()}}
    ),
    "cases of words": lambda _, record: json.dumps({**record, "cases": "all"}),
    "settings of words": lambda _, record: json.dumps({**record, "settings": "all"}),
}
CHANGES |= {f"without {name}": partial(without, name) for name in ("folds", "cases", "settings", "hash", "data_hash")}


@pytest.mark.parametrize("change", CHANGES)
def test_damaged_folds_are_one_sentence(store, change):
    folds = Folds(count=2, seed=0)
    cut = freeze(PreparedStore(store), folds, 0.0)
    assert cut.path is not None
    text = cut.path.read_text()
    cut.path.write_text(CHANGES[change](text, json.loads(text)))
    with pytest.raises(SplitError, match=r"expected (frozen folds|folds made with)") as error:
        freeze(PreparedStore(store), folds, 0.0)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 900
