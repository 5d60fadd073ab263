"""Several signals: those that come together leave the clean-up whole, a later one ends a clean-up that hangs."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.project import ROOT

STAGE = """
import sys, time
from pathlib import Path
from stages.shared.runtime.signals import cleanup_on_signal, install_handlers

def clean():
    print("cleans", flush=True)
    time.sleep(float(sys.argv[1]))
    Path(sys.argv[2]).unlink()

install_handlers()
with cleanup_on_signal(clean):
    print("works", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(("seconds", "wait", "is_whole"), [(0.3, 0.0, True), (60, 1.0, False)])
def test_a_second_signal(seconds: float, wait: float, is_whole: bool, tmp_path: Path) -> None:
    partial = tmp_path / "partial"
    partial.touch()
    command = [sys.executable, "-c", STAGE, str(seconds), str(partial)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "works\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "cleans\n"
        time.sleep(wait)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    assert partial.exists() != is_whole
