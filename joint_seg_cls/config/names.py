"""Names that a folder may have."""

#: Bytes of a name of a folder; file systems take 255, and some files add an ending.
LONGEST_NAME = 200
#: Joiners that words of Persian and of Indic scripts hold; nobody sees them.
_JOINERS = dict.fromkeys(map(ord, "\u200c\u200d"))


def is_name(text: str) -> bool:
    """Return whether a folder may have this name, whatever script it is in."""
    is_long = len(text.encode()) > LONGEST_NAME
    is_shown = text.translate(_JOINERS).isprintable() and not set(text) & set("/\\")
    return bool(text.strip()) and is_shown and not is_long and text[0] not in " .,-+"
