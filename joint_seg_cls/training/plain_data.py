"""Plain data: the values that a file may contain, and quotation of refused values."""

#: Limits of a nested value: number of values, depth, and letters of a string.
_MOST_VALUES, _MOST_DEPTH, _MOST_LETTERS = 20_000, 24, 100_000
_LONGEST_QUOTE = 100


def not_plain(content: object) -> str | None:
    """Return why a nested value is not plain data, or None if it is.

    Plain are strings, finite 64-bit numbers, booleans, None, and lists and mappings (with string keys) of these, of
    exactly these types. Very large or cyclic values are not plain.
    """
    waiting: list[tuple[object, int]] = [(content, 0)]
    for _ in range(_MOST_VALUES):
        if not waiting:
            return None
        value, depth = waiting.pop()
        if depth > _MOST_DEPTH:
            return f"values nested more than {_MOST_DEPTH} deep"
        inner = _inner(value)
        if inner is None:
            if not _is_plain_scalar(value):
                return shown(value)
        elif len(inner) + len(waiting) > _MOST_VALUES:
            break
        elif isinstance(value, dict) and not all(type(key) is str for key in value):
            return "a key that is not text"
        else:
            waiting += [(each, depth + 1) for each in inner]
    return f"more than {_MOST_VALUES:,} values"


def shown(value: object) -> str:
    """Return a short ASCII quotation of a value from a file, which cannot control the terminal."""
    if isinstance(value, str | float | bool | None) or (isinstance(value, int) and abs(value) < 2**63):
        text = ascii(value[: 2 * _LONGEST_QUOTE])[1:-1] if isinstance(value, str) else str(value).lower()
        text = text or "empty text"
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(shown(each) for each in value[:4])}{', ...' if len(value) > 4 else ''}]"
    else:
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= _LONGEST_QUOTE else f"{text[: _LONGEST_QUOTE - 3]}..."


def _inner(value: object) -> list[object] | None:
    """Return the values in a list or mapping; None for other values."""
    if type(value) is dict:
        return [*value, *value.values()]
    return list(value) if type(value) in (list, tuple) else None  # pyright: ignore[reportArgumentType]


def _is_plain_scalar(value: object) -> bool:
    if type(value) in (int, float):
        return -(2**63) <= value < 2**63  # pyright: ignore[reportOperatorIssue] - excludes NaN
    return value is None or type(value) is bool or (type(value) is str and len(value) <= _MOST_LETTERS)
