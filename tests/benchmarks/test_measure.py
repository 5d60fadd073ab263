"""The benchmarks' page: what was not measured again stays."""

from benchmarks.measure import merge
from tests.project import ROOT


def test_sections_that_were_not_run_stay_as_they_are() -> None:
    page = (ROOT / "docs/benchmarks.md").read_text()
    titles = [line for line in page.splitlines() if line.startswith("## ")]
    merged = merge(page, "# Benchmarks\n\nmeasured again", {"The pipeline": "fast", "Anew": "first"})
    assert [line for line in merged.splitlines() if line.startswith("## ")] == [*titles, "## Anew"]
    before, after = page.split("## The pipeline"), merged.split("## The pipeline")
    assert after[0].partition("## ")[2] == before[0].partition("## ")[2]
    assert after[1].startswith("\n\nfast\n\n## Growth\n")
    assert after[1].partition("## Growth")[2] == before[1].partition("## Growth")[2] + "\n## Anew\n\nfirst\n"
    assert merge("", "# New", {"One": "text"}) == "# New\n\n## One\n\ntext\n"
