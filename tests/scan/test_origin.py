"""Pages, PDFs and records of this program are recognised by a mark at a fixed place."""

import json

import pytest
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from joint_seg_cls.errors import CohortError
from joint_seg_cls.pictures import write_page
from joint_seg_cls.scan.origin import require_own_files

MARK = "joint_seg_cls 0.1.0"
HEAD = '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'


def pdf(path, **properties):
    figure = Figure()
    FigureCanvasPdf(figure)
    figure.text(0.5, 0.5, MARK)
    figure.savefig(path, format="pdf", metadata={"CreationDate": None, **properties})


FOREIGN = {
    "a page about the program": ("a.html", f"<html><head><title>{MARK}</title></head><body>jsc check</body></html>"),
    "a page that quotes the mark": ("a.html", f'{HEAD}</head><body><meta name="generator" content="{MARK}"></body>'),
    "a page of another generator": ("a.html", f'{HEAD}<meta name="generator" content="Word, not {MARK}"></head>'),
    "a page that quotes the footer": ("a.html", f"<footer>jsc check, {MARK}.</footer></body></html><p>mine</p>"),
    "a record with the mark below": ("a.json", json.dumps({"tools": {"made_with": "0.1.0"}})),
    "a record of another program": ("a.json", json.dumps({"made_with": "Inkscape 1.2"})),
    "a list": ("a.json", json.dumps(["made_with", "0.1.0"])),
    "text": ("a.json", '"made_with": "0.1.0"'),
    "a text called PDF": ("a.pdf", f"/Creator ({MARK})"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_that_only_names_the_program_is_of_other_origin(tmp_path, kind):
    name, content = FOREIGN[kind]
    (tmp_path / name).write_text(content)
    with pytest.raises(CohortError, match="a file of other origin that the output would replace"):
        require_own_files([tmp_path / name], "move it")


def test_a_pdf_of_another_creator_that_shows_the_mark_is_of_other_origin(tmp_path):
    pdf(tmp_path / "a.pdf", Creator="LaTeX", Title=f"/Creator ({MARK})")
    with pytest.raises(CohortError, match="of other origin"):
        require_own_files([tmp_path / "a.pdf"], "move it")


def test_own_files_are_recognised_also_those_of_the_first_version(tmp_path):
    write_page(tmp_path / "new.html", title="<b>", subtitle="", sections=[], footer="")
    footer = f"<footer>jsc check, {MARK}. Not for clinical use.</footer>\n</body>\n</html>"
    (tmp_path / "old.html").write_text(f"{HEAD}<title>Audit</title>\n</head>\n<body>\n{footer}")
    meta = f'<meta name="viewport" content="width=1">\n<meta name="generator" content="{MARK}">'
    (tmp_path / "case.html").write_text(f"{HEAD}{meta}\n<title>p1</title></head>")
    (tmp_path / "audit.json").write_text(json.dumps({"format": 1, "made_with": "0.1.0"}))
    for number, title in enumerate(("p1", "Müller 李明 (1)", "\u3c3e>>")):
        pdf(tmp_path / f"{number}.pdf", Creator=MARK, Title=title)
    require_own_files([*tmp_path.iterdir(), tmp_path / "absent.html"], "move it")
