"""Reader of the ISBI 2015 longitudinal MS lesion challenge: several visits per person, two raters' masks.

Layout: ``trainingNN/preprocessed/trainingNN_MM_flair_pp.nii`` and ``trainingNN/masks/trainingNN_MM_mask1.nii`` (and
``mask2``) for person NN at visit MM; ``testNN`` likewise, without masks. The masks are drawn on the preprocessed scans,
which are skull-stripped and registered to MNI space; the scans in ``orig`` are on other grids and are not used.

Source: https://doi.org/10.1016/j.neuroimage.2016.12.064
"""

import re
from collections import defaultdict
from pathlib import Path
from typing import final

from joint_seg_cls.errors import CohortError, examples
from joint_seg_cls.scan.cohort import rater_column
from joint_seg_cls.scan.finder import Remark, natural, scan_files
from joint_seg_cls.scan.readers.reader import Found, FoundScan, Reader

_NAME = re.compile(
    r"(?:.*/)?(?P<subject>(?:training|test)\d+)_(?P<session>\d+)_"
    r"(?:(?P<modality>flair|mprage|t1|t2|pd)(?P<preprocessed>_pp)?|mask(?P<rater>\d+))\.nii(?:\.gz)?",
    re.IGNORECASE,
)
_COLUMNS = {"flair": "flair", "mprage": "t1", "t1": "t1", "t2": "t2", "pd": "pd"}


@final
class Isbi2015Reader(Reader):
    """Finds the preprocessed scans of the challenge at any depth below the folder.

    Args:
        disease: the disease of all subjects.
        site: value of the column ``site``.
    """

    def __init__(self, disease: str | None = "MS", site: str = "ISBI-2015") -> None:
        self._disease, self._site = disease, site

    def read(self, path: Path, out: Path) -> Found:
        """Return one scan for each subject and visit with a preprocessed FLAIR."""
        here = scan_files(path)
        files, remarks = here.names, here.remarks
        scans: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        for name in files:
            found = _NAME.fullmatch(name)
            if found is None:
                remarks.append(Remark("NIfTI files with names unlike the challenge's", name))
            elif found["modality"] and not found["preprocessed"]:
                remarks.append(Remark("scans before preprocessing, whose grid has no masks", name))
            else:
                column = f"mask {found['rater']}" if found["rater"] else _COLUMNS[found["modality"].lower()]
                _add(path, scans[found["subject"].lower(), found["session"]], column, name)
        rows = []
        for (subject, session), columns in sorted(scans.items(), key=lambda item: [natural(part) for part in item[0]]):
            if "flair" not in columns:
                remarks += [Remark("files of a visit without a preprocessed FLAIR", name) for name in columns.values()]
                continue
            rows.append(self._scan(path.resolve(), subject, session, columns))
        if not rows:
            found = f"{len(files)} NIfTI files with other names" + (f" ({examples(files)})" if files else "")
            raise CohortError(
                path,
                expected="files such as training01/preprocessed/training01_01_flair_pp.nii",
                found=found,
                remedy="set path= to the unpacked archive",
            )
        return Found(tuple(rows), tuple(remarks))

    def _scan(self, root: Path, subject: str, session: str, columns: dict[str, str]) -> FoundScan:
        files = {column: root / name for column, name in columns.items() if not column.startswith("mask ")}
        masks = sorted((column for column in columns if column.startswith("mask ")), key=natural)
        for number, mask in enumerate(masks, start=1):
            files[rater_column(number)] = root / columns[mask]
        return FoundScan(subject, session, files, self._disease, {"site": self._site, "skull_stripped": "true"})


def _add(path: Path, columns: dict[str, str], column: str, name: str) -> None:
    if column in columns:
        raise CohortError(
            path,
            expected=f"one {column} for each subject and visit",
            found=f"{columns[column]} and {name}",
            remedy="remove one of them, or set path= to a folder with only one",
        )
    columns[column] = name
