"""To add a stage, as the guide says, is enough: what holds for the others holds for it, and nothing else breaks."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT, Project, environment

MODULE = """\
\"""trial: how far each extracted latent is from the middle of all.

Reads  data/extract/latents.csv, selection.json
Writes data/trial/distances.csv
\"""

from stages.shared.process.run import run

from pathlib import Path

import numpy as np
from pydantic import Field

from stages.shared.formats import write_csv
from stages.shared.latents.table import Latents
from stages.shared.process import params
from stages.shared.process.outputs import outputs

FOLDER = Path("data/trial")


class Params(params.Section):
    \"""How the distance is measured.\"""

    power: float = Field(ge=1)


def main() -> None:
    p = params.read("trial", Params)
    latents = Latents.read().values  # [N, latent size]
    distances = np.linalg.norm(latents - latents.mean(axis=0), p.power, axis=1)
    with outputs(FOLDER) as folder:
        write_csv(folder / "distances.csv", ["distance"], [[distance] for distance in distances])


if __name__ == "__main__":
    run(main)
"""

STAGE = """\
  trial:
    cmd: python -m stages.trial
    params: [trial]
    deps:
    - data/extract/latents.csv
    - data/extract/selection.json
    - stages/trial.py
    - stages/shared/arrays.py
    - stages/shared/environment.py
    - stages/shared/formats.py
    - stages/shared/latents/table.py
    outs:
    - data/trial/distances.csv
"""

TEST = """\
from tests.project import Project


def test_a_distance_for_each_latent(finished: Project) -> None:
    assert len((finished.root / "data/trial/distances.csv").read_text().splitlines()) == 41
"""

# What the guide calls the pipeline's own tests, where they touch the new stage or the one whose outs it reads.
OWN = "trial or there_is_a_stage or imports or upwards or (edit_reruns and extract and 30)"


def write_stage(root: Path) -> None:
    (root / "stages/trial.py").write_text(MODULE)
    (root / "tests/test_trial.py").write_text(TEST)
    with (root / "params.yaml").open("a") as file:
        file.write("\ntrial:\n  power: 2\n")
    pipeline = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(pipeline.replace("artifacts:\n", f"{STAGE}artifacts:\n"))


@pytest.mark.timeout(1200)  # of a pipeline of its own
def test_a_stage_added_by_the_guide_passes(finished: Project, tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "cache", "tmp")
    for name in ("stages", "tests", ".dvc", "docs", "uses"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    (tmp_path / "data").mkdir()
    for path in [*(ROOT / "data").glob("*.yaml"), *(ROOT / n for n in ("params.yaml", "dvc.yaml", ".dvcignore"))]:
        shutil.copy(path, tmp_path / path.relative_to(ROOT))
    for name in ("pyproject.toml", "README.md", "Makefile"):
        shutil.copy(ROOT / name, tmp_path)
    write_stage(tmp_path)
    # What the other stages gave is the same with one more, and DVC's run cache has it.
    shutil.copytree(finished.root / ".dvc/cache", tmp_path / "cache")
    (tmp_path / "dvc").mkdir()
    (tmp_path / "dvc/config").write_text(f"[cache]\n    dir = {tmp_path / 'cache'}\n")
    tests = ["tests/test_pipeline.py", "tests/test_trial.py", "tests/test_commands.py", "-k", f"{OWN} or described"]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", "--basetemp=temporary", *tests],
        cwd=tmp_path,
        env=environment({"DVC_GLOBAL_CONFIG_DIR": str(tmp_path / "dvc")}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert (
        "trial"
        in subprocess.run(
            [sys.executable, "-m", "stages.trial", "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout
    )
