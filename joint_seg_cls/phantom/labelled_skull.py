"""What a head's own labels show outside the brain."""

from typing import final


@final
class LabelledSkull:
    """Show what the label maps of ``phantom=randomised`` have outside the brain: skull, skin, eyes, neck."""

    name = "labels"
    stripped = False
