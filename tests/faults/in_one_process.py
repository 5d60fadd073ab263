"""Stages one after another in one process: a process for each would spend most of its time on imports."""

import subprocess
from collections.abc import Callable, Iterable

_SCRIPT = """
from stages.shared.environment import fix_environment

fix_environment()
import importlib, sys

for stage in sys.argv[1:]:
    importlib.import_module(f"stages.{stage}").main()
"""


def run_stages(
    run: Callable[..., subprocess.CompletedProcess[str]], stages: Iterable[str], apart: bool = False
) -> None:
    """Run the stages, which must succeed, with `run`, which takes a command; `apart`: in a process each."""
    commands = [["-m", f"stages.{stage}"] for stage in stages] if apart else [["-c", _SCRIPT, *stages]]
    for command in commands:
        result = run("python", *command)
        assert result.returncode == 0, result.stdout + result.stderr
