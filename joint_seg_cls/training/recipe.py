"""The recipe of a checkpoint; all entries are checked on reading."""

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from joint_seg_cls.batch import VIEWS, Views
from joint_seg_cls.errors import CheckpointError
from joint_seg_cls.training.plain_data import not_plain, shown

#: The entry of the recipe in a checkpoint.
RECIPE = "joint_seg_cls"
#: Maximum number of voxels along a side of the network's image, and in total.
MOST_SIDE, MOST_VOXELS = 1024, 512**3
#: Maximum number of classes or modalities, and of letters of a name.
_MOST_NAMES, _MOST_LETTERS = 64, 500
#: Limits of the marks of training scans, see :mod:`.trained_scans`.
_MOST_MARKS, _MARK = 1_000_000, re.compile("[0-9a-f]{16}")
#: Upper bound of the minimum volume of predicted lesions.
_MOST_MM3 = 1000.0
#: Lower and upper bound of the temperature of the class probabilities.
_TEMPERATURES = 0.01, 1000.0
#: Characters that change the direction of the following text, so that it is displayed as another text.
_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_REMEDY = "use a checkpoint of jsc train, and copy it again if it is damaged"


@final
@dataclass(frozen=True)
class Recipe:
    """The entries of a checkpoint besides its weights.

    Args:
        network: configuration of the network.
        preprocess: configuration of the training data's preprocessing.
        preprocess_format: format of the training data's prepared store; None in files of older versions.
        classes: disease names in the order of their codes.
        modalities: the image's channels.
        lesion_threshold: probability at or above which a voxel is a lesion.
        variant: the ablation or network, and other settings.
        trained_on: ``collection``, ``fold``, ``seed``, ``data_hash`` and further facts.
        trained_scans: marks of the training scans; None if not recorded.
        views: averaged views of a scan, see :class:`~joint_seg_cls.inference.Predictor`.
        least_lesion_mm3: minimum volume of a predicted lesion.
        intensities: quantile ranges of the training images, see :mod:`joint_seg_cls.inference.familiarity`; empty if
            not recorded.
        window: patch size in voxels for a segmentation trained on patches; None for the whole image.
        temperature: of the class probabilities, see :mod:`joint_seg_cls.metrics.calibration`; 1 if not fitted.
        calibration_scans: number of validation scans of the fit; 0 if not fitted.
        ranges: voxel size and brain volume of the training scans, see :mod:`joint_seg_cls.inference.familiarity`;
            empty if not recorded.
        lesion_free: classes for which most training scans have no lesion.
    """

    network: dict[str, Any]
    preprocess: dict[str, Any]
    preprocess_format: int | None
    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    model_shape: tuple[int, int, int]
    lesion_threshold: float
    variant: str
    trained_on: dict[str, Any]
    trained_scans: tuple[str, ...] | None = None
    views: Views = "one"
    least_lesion_mm3: float = 0.0
    window: tuple[int, int, int] | None = None
    intensities: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    temperature: float = 1.0
    calibration_scans: int = 0
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    lesion_free: tuple[str, ...] = ()

    @classmethod
    def parse(cls, content: Mapping[str, Any], where: Path) -> "Recipe":
        """Parse and check the recipe of a file.

        Raises:
            CheckpointError: an entry is missing, is of another type, or is out of range.
        """
        read = _Entries(content, where)
        return cls(
            network=read.part("network"),
            preprocess=read.part("preprocess"),
            preprocess_format=None if "preprocess_format" not in content else read.whole("preprocess_format", 0),
            classes=read.names("classes"),
            modalities=read.names("modalities"),
            model_shape=read.shape("model_shape"),
            lesion_threshold=read.number("lesion_threshold", 1, "a number from 0 to 1"),
            variant=read.text("variant"),
            trained_on=read.facts("trained_on"),
            trained_scans=None if content.get("trained_scans") is None else read.marks("trained_scans"),
            views=read.views() if "views" in content else "one",
            least_lesion_mm3=read.volume("least_lesion_mm3") if "least_lesion_mm3" in content else 0.0,
            window=None if content.get("window") is None else read.shape("window"),
            intensities=read.ranges("intensities") if "intensities" in content else {},
            temperature=read.temperature("temperature") if "temperature" in content else 1.0,
            calibration_scans=read.whole("calibration_scans", 0) if "calibration_scans" in content else 0,
            ranges=read.ranges("ranges") if "ranges" in content else {},
            lesion_free=read.names("lesion_free") if content.get("lesion_free") else (),
        )


@final
class _Entries:
    """Checked access to the entries of a mapping from a file."""

    def __init__(self, content: Mapping[str, Any], where: Path) -> None:
        self._content, self._where = content, where

    def part(self, key: str) -> dict[str, Any]:
        expected = "a mapping of plain values with a _target_"
        found = self.entry(key, expected)
        if type(found) is not dict or "_target_" not in found:
            raise self._refusal(key, expected, shown(found))
        return self._plain(key, found)

    def facts(self, key: str) -> dict[str, Any]:
        expected = "a mapping of plain values"
        found = self.entry(key, expected)
        if type(found) is not dict:
            raise self._refusal(key, expected, shown(found))
        facts = _Entries(found, self._where)
        facts.text("collection", within=key)
        facts.whole("seed", None, within=key)
        facts.text("data_hash", within=key)
        if type(facts.entry("fold", "a number or a name", key)) is not int:
            facts.text("fold", within=key)
        return self._plain(key, found)

    def names(self, key: str) -> tuple[str, ...]:
        expected = "a list of different names"
        found = self.entry(key, expected)
        if type(found) not in (list, tuple) or not 1 <= len(found) <= _MOST_NAMES or not all(map(_is_text, found)):
            raise self._refusal(key, expected, shown(found))
        if len(set(found)) < len(found):
            raise self._refusal(key, expected, f"a repeated name in {shown(found)}")
        return tuple(found)

    def marks(self, key: str) -> tuple[str, ...]:
        expected = "a list of hexadecimal marks"
        found = self.entry(key, expected)
        is_list = type(found) in (list, tuple) and len(found) <= _MOST_MARKS
        if not is_list or not all(type(mark) is str and _MARK.fullmatch(mark) for mark in found):
            raise self._refusal(key, expected, shown(found))
        return tuple(found)

    def shape(self, key: str) -> tuple[int, int, int]:
        expected = f"three numbers of voxels, each from 1 to {MOST_SIDE} and together at most {MOST_VOXELS:,}"
        found = self.entry(key, expected)
        is_shape = type(found) in (list, tuple) and len(found) == 3 and all(type(side) is int for side in found)
        if not is_shape or not all(1 <= side <= MOST_SIDE for side in found) or math.prod(found) > MOST_VOXELS:
            raise self._refusal(key, expected, shown(found))
        x, y, z = found
        return x, y, z

    def number(self, key: str, most: float, expected: str, least: float = 0.0) -> float:
        found = self.entry(key, expected)
        if type(found) not in (int, float) or not least <= found <= most:  # also refuses NaN
            raise self._refusal(key, expected, shown(found))
        return float(found)

    def volume(self, key: str) -> float:
        return self.number(key, _MOST_MM3, f"a volume in mm3 from 0 to {_MOST_MM3:g}")

    def temperature(self, key: str) -> float:
        low, high = _TEMPERATURES
        return self.number(key, high, f"a temperature from {low:g} to {high:g}", low)

    def ranges(self, key: str) -> dict[str, tuple[float, float]]:
        expected = "a mapping of names to pairs of finite numbers, the lower first"
        found = self.entry(key, expected)
        if type(found) is not dict or len(found) > _MOST_NAMES or not all(map(_is_text, found)):
            raise self._refusal(key, expected, shown(found))
        if not all(_is_range(pair) for pair in found.values()):
            raise self._refusal(key, expected, shown(found))
        return {name: (float(low), float(high)) for name, (low, high) in found.items()}

    def views(self) -> Views:
        expected = f"one of {', '.join(VIEWS)}"
        found = self.entry("views", expected)
        for name in VIEWS:
            if found == name:
                return name
        raise self._refusal("views", expected, shown(found))

    def text(self, key: str, within: str = "") -> str:
        expected = f"text of at most {_MOST_LETTERS} letters"
        found = self.entry(key, expected, within)
        if not _is_text(found):
            raise self._refusal(key, expected, shown(found), within)
        return found

    def whole(self, key: str, least: int | None, within: str = "") -> int:
        expected = "a whole number" if least is None else f"a whole number from {least}"
        found = self.entry(key, expected, within)
        if type(found) is not int or (least is not None and found < least) or abs(found) >= 2**63:
            raise self._refusal(key, expected, shown(found), within)
        return found

    def _plain(self, key: str, found: dict[str, Any]) -> dict[str, Any]:
        if (fault := not_plain(found)) is not None:
            raise self._refusal(key, "plain values (texts, finite numbers, true, false, null, lists, mappings)", fault)
        return found

    def entry(self, key: str, expected: str, within: str = "") -> Any:
        if key not in self._content:
            raise self._refusal(key, expected, "no such entry", within)
        return self._content[key]

    def _refusal(self, key: str, expected: str, found: str, within: str = "") -> CheckpointError:
        entry = f"{within}.{key}" if within else key
        return CheckpointError(
            self._where, expected=f"a recipe with {expected} as {entry}", found=found, remedy=_REMEDY
        )


def _is_range(value: Any) -> bool:
    """Return whether a value is a pair of finite numbers in ascending order."""
    if type(value) not in (list, tuple) or len(value) != 2:
        return False
    return all(type(end) in (int, float) and math.isfinite(end) for end in value) and value[0] <= value[1]


def _is_text(value: object) -> bool:
    """Return whether a value is one line of text without control characters, surrogates or changes of direction."""
    if type(value) is not str or not 0 < len(value) <= _MOST_LETTERS:
        return False
    is_odd = any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in value)
    return not is_odd and not any(unicodedata.bidirectional(letter) in _DIRECTIONS for letter in value)
