"""Names of a scan in texts of its record, which a page may leave out."""

import re
from collections.abc import Mapping
from typing import Any

from joint_seg_cls.scan.finder import stem

#: Shown instead of a hidden name.
HIDDEN = "Scan"


def without_names(text: str, record: Mapping[str, Any]) -> str:
    """Return a text of a record with :data:`HIDDEN` in place of the names of the scan and of its files."""
    files = [str(record["scan"]), *record.get("preprocessing", {}).get("sources", ())]
    for file in sorted(set(files), key=len, reverse=True):
        text = text.replace(file, HIDDEN)
    stems = {str(record["id"]), *map(stem, files)}
    # a number may be a measure: files of such names are replaced above
    names = [re.escape(name) for name in sorted(stems, key=len, reverse=True) if not name.isdigit()]
    return re.sub(rf"(?<![\w-])(?:{'|'.join(names)})(?![\w-])", HIDDEN, text) if names else text
