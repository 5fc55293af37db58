"""Surroundings of the brain from the labels of a head."""

from typing import final


@final
class LabelledSkull:
    """Uses the labels outside the brain in the label maps of ``phantom=randomised``: skull, skin, eyes, neck."""

    name = "labels"
    stripped = False
