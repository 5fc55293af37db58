"""Pages of the predictions in a folder: written once for each record, and again when the record is newer."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from joint_seg_cls.casepage.case import read_case
from joint_seg_cls.casepage.index import page_path
from joint_seg_cls.casepage.page import summary_of, write_case_page
from joint_seg_cls.casepage.pdf import write_case_pdf
from joint_seg_cls.scan import read_scan
from joint_seg_cls.scan.origin import require_own_files

#: Stands in a page that leaves out the scan's name.
_IS_HIDDEN = b'<meta name="names" content="hidden">'
_HEAD = 4096


def write_pages(
    name: str, scans: Sequence[Path], modalities: Sequence[str], folder: Path, *, hide_name: bool = False
) -> Path:
    """Write the page and the PDF of a predicted scan, unless they are newer than its record and hide names as asked.

    Args:
        name: base name of the outputs in ``folder``.
        scans: the images that were predicted, one for each modality.
        folder: the predictions.
        hide_name: whether the pages omit the scan's name.

    Returns:
        The page.

    Raises:
        ScanError: as :func:`~joint_seg_cls.casepage.case.read_case`.
    """
    record, page = folder / f"{name}.json", page_path(folder, name)
    sheet = page.with_name(f"{page.stem}.pdf")
    is_new = all(each.is_file() and each.stat().st_mtime >= record.stat().st_mtime for each in (page, sheet))
    if is_new and (_IS_HIDDEN in _head(page)) == hide_name:
        return page
    first, *others = (read_scan(scan) for scan in scans)
    case = read_case(record, first, others, modalities)
    sheet.unlink(missing_ok=True)  # so that a page which hides the name is never beside a sheet which shows it
    slices = write_case_page(case, page, hide_name=hide_name)
    write_case_pdf(summary_of(case, hide_name=hide_name), slices, sheet)
    return page


def refuse_foreign_pages(names: Iterable[str], folder: Path) -> None:
    """Refuse to write over pages and PDFs of other origin, before any work.

    Raises:
        CohortError: such a file exists.
    """
    pages = [page_path(folder, name) for name in names]
    sheets = [page.with_name(f"{page.stem}.pdf") for page in pages]
    require_own_files((folder / "index.html", *pages, *sheets), "name another folder with out=, or add page=false")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)
