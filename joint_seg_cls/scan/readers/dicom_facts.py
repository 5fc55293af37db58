"""What is kept from a DICOM header: acquisition parameters and, on request, age and sex."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from types import MappingProxyType

from joint_seg_cls.scan.readers.dicom_headers import Series

#: Higher ages become this plus one, because they are rare enough to identify people.
_OLDEST_YEARS = 89
_DAYS = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}
_MILLISECONDS = (
    ("tr_ms", ("RepetitionTime",)),
    ("te_ms", ("EffectiveEchoTime", "EchoTime")),
    ("ti_ms", ("InversionTime", "InversionTimes")),
    ("slice_thickness_mm", ("SliceThickness",)),
)


def acquisition(series: Series) -> dict[str, str]:
    """Return manufacturer, model, field strength, times and slice thickness, as far as known."""
    maker, model = series.text("Manufacturer"), series.text("ManufacturerModelName")
    columns = {"manufacturer": maker, "model": model, "scanner": f"{maker} {model}".strip()}
    numbers = (("field_strength_t", ("MagneticFieldStrength",)), *_MILLISECONDS)
    for column, names in numbers:
        value = next((v for v in map(series.value, names) if v is not None), None)
        columns[column] = "" if value is None else f"{value:g}"
    return {name: text for name, text in columns.items() if text}


def _age(series: Series) -> str:
    """Return the age in whole years, from the header or from the dates of birth and study."""
    if found := re.fullmatch(r"(\d{1,3})([DWMY])", series.text("PatientAge")):
        years = int(found[1]) / _DAYS[found[2]]
    else:
        try:
            born, studied = (date.fromisoformat(series.text(name)) for name in ("PatientBirthDate", "StudyDate"))
        except ValueError:
            return ""
        years = (studied - born).days / _DAYS["D"]
    return str(min(int(years), _OLDEST_YEARS + 1))


def _sex(series: Series) -> str:
    text = series.text("PatientSex").upper()
    return text if text in ("F", "M", "O") else ""


#: Data of a person that may be kept, by column.
PERSONAL: Mapping[str, Callable[[Series], str]] = MappingProxyType({"age": _age, "sex": _sex})
