"""Valid names of folders."""

#: Maximum length of a folder name in bytes; file systems allow 255, and some file names add a suffix.
LONGEST_NAME = 200
#: Invisible joiners in words of Persian and of Indic scripts.
_JOINERS = dict.fromkeys(map(ord, "\u200c\u200d"))


def is_name(text: str) -> bool:
    """Return whether a text is a valid folder name, in any script."""
    is_long = len(text.encode()) > LONGEST_NAME
    is_shown = text.translate(_JOINERS).isprintable() and not set(text) & set("/\\")
    return bool(text.strip()) and is_shown and not is_long and text[0] not in " .,-+"
