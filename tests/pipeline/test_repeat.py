"""The same params and seed give the same bytes, wherever and whenever."""

import hashlib
import shutil
from pathlib import Path

import pytest
import torch

from tests.faults.marks import faults
from tests.project import Project

ELSEWHERE = [
    {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "1", "LC_ALL": "C.UTF-8", "USER": "someone", "COLUMNS": "40"},
    {"TZ": "America/Adak", "PYTHONHASHSEED": "2", "LC_ALL": "C", "PYTHONDONTWRITEBYTECODE": "1"},
    {"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "3", "LANG": "de_DE.UTF-8", "MPLBACKEND": "svg"},
    {"TZ": "UTC", "PYTHONHASHSEED": "random", "SOURCE_DATE_EPOCH": "0"},
]


# Where a process can be confined, so that a second run also has other cores to use than the first.
ONE_CORE = ["taskset", "--cpu-list", "0"] if shutil.which("taskset") else []


def hashes(project: Project) -> dict[str, str]:
    return {path: hashlib.sha256(content).hexdigest() for path, content in project.contents().items()}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "setting" in metafunc.fixturenames:
        settings = ELSEWHERE if metafunc.config.getoption("--torture") else ELSEWHERE[:1]
        metafunc.parametrize("setting", settings, ids=lambda setting: setting["TZ"])
    if metafunc.function is test_training_with_so_many_threads:  # with one: also `test_two_whole_runs`
        metafunc.parametrize("threads", [1, 2] if metafunc.config.getoption("--torture") else [2])


# What reaches PyTorch's threads and kernels, NumPy's kernels, or Matplotlib from the environment.
OUTSIDE = {"OMP_DYNAMIC": "true", "OMP_THREAD_LIMIT": "1", "OMP_NUM_THREADS": "7", "MKL_NUM_THREADS": "1"}
OUTSIDE |= {"MKL_DYNAMIC": "true", "OPENBLAS_NUM_THREADS": "2", "GOTO_NUM_THREADS": "2", "KMP_ALL_THREADS": "1"}
OUTSIDE |= {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "DNNL_MAX_CPU_ISA": "SSE41"}
OUTSIDE |= {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "MKL_CBWR": "COMPATIBLE", "OPENBLAS_CORETYPE": "Prescott"}


def test_two_whole_runs(setting: dict[str, str], finished: Project, tmp_path: Path) -> None:
    """The second in another folder, on one core, with settings of kernels from outside and a style of Matplotlib's."""
    changed = Project.create(tmp_path / "another folder – données 数据 $HOME 'x'")
    (tmp_path / "matplotlibrc").write_text("figure.facecolor: black\nfont.size: 20\n")
    style = {"MATPLOTLIBRC": str(tmp_path), "MPLCONFIGDIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    result = changed.run(*ONE_CORE, "dvc", "repro", env=OUTSIDE | style | setting)
    assert result.returncode == 0, result.stdout + result.stderr
    assert hashes(changed) == hashes(finished)
    assert (changed.root / "dvc.lock").read_bytes() == (finished.root / "dvc.lock").read_bytes()


@faults
def test_training_with_so_many_threads(threads: int, project: Project, torture: bool) -> None:
    project.edit({"train": {"threads": threads, "schedule": "one-cycle"}})
    runs = []
    for _ in range(5 if torture else 2):
        shutil.rmtree(project.root / "data" / "train")
        result = project.stage("train")
        assert result.returncode == 0, result.stderr
        runs.append(hashes(project))
    assert all(run == runs[0] for run in runs)


def test_settings_of_threads_from_outside_change_no_byte_of_a_training_with_two(project: Project) -> None:
    project.edit({"train": {"threads": 2}})
    project.play("train")  # in this process, where nothing is set from outside
    torch.set_num_threads(1)
    expected = hashes(project)
    result = project.stage("train", OUTSIDE)
    assert result.returncode == 0, result.stderr
    assert hashes(project) == expected


def test_another_seed_gives_other_bytes(project: Project) -> None:
    before = hashes(project)
    project.edit({"train": {"seed": 2}})
    project.play("train")
    after = hashes(project)
    assert {path for path in before if before[path] != after[path]} >= {
        "data/train/autoencoder.safetensors",
        "data/train/loss.csv",
    }
