"""Patterns of file names with named parts: ``{subject}/{session}/*_FLAIR.nii.gz``."""

import re
from typing import final

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.scan.finder import is_nifti

_PIECES = re.compile(r"\{(\w*)\}|(\*\*/)|(\*)|(\?)|([^{}*?]+)|([{}])")
_ANYWHERE = "**/"


@final
class PathPattern:
    """A pattern of file paths.

    ``{name}`` matches part of a folder or file name, with the same value wherever it is repeated; ``*`` matches any
    text and ``?`` one character within one name; ``**/`` matches any folders, and at the beginning also those above the
    cohort's folder. Case is ignored, and ``.nii`` and ``.nii.gz`` match each other.

    Args:
        text: the pattern, with ``/`` between folders.

    Raises:
        ConfigError: a brace is not closed, a name is empty or not a word, or the pattern is not for NIfTI files.
    """

    def __init__(self, key: str, text: str) -> None:
        self.key, self.text = key, text
        self._anywhere = text.startswith(_ANYWHERE)
        regex, fields = "", []
        for field, folders, star, mark, plain, brace in _PIECES.findall(text.replace("\\", "/")):
            if brace or not (field or folders or star or mark or plain) or field[:1].isdecimal():
                raise self._refusal("named parts such as {subject}", text)
            if field:
                regex += f"(?P={field})" if field in fields else f"(?P<{field}>[^/]+?)"
                fields.append(field)
            else:
                regex += r"(?:[^/]+/)*" if folders else "[^/]*" if star else "[^/]" if mark else re.escape(plain)
        if not is_nifti(text):
            raise self._refusal("a pattern ending in .nii.gz", text)
        self.fields = tuple(dict.fromkeys(fields))
        regex = re.sub(r"\\\.nii(\\\.gz)?$", "", regex, flags=re.IGNORECASE)
        self._regex = re.compile(rf"{regex}\.nii(\.gz)?", re.IGNORECASE)

    def match(self, relative: str, absolute: str) -> dict[str, str] | None:
        """Return the named parts of a file's path, or None if it does not match.

        Args:
            relative: path relative to the cohort's folder.
            absolute: full path, for a pattern that may begin anywhere.
        """
        found = self._regex.fullmatch(absolute.lstrip("/") if self._anywhere else relative)
        return None if found is None else {name: found[name] for name in self.fields}

    def _refusal(self, expected: str, found: str) -> ConfigError:
        return ConfigError(self.key, expected=expected, found=found, remedy="see jsc cohort --help for the syntax")
