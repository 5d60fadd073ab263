"""Several processes that train together: the same losses as one, one voice, and an end when one of them ends."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.project import ROOT, Project, environment

STEPS = """
    import json, sys
    import numpy as np, torch
    from stages.shared.training.group import joined
    from stages.shared.training.trainer import Trainer
    torch.set_num_threads(1)
    noise = np.random.default_rng(0).random((201, 6, 5, 1))
    images = (255 * noise.cumsum(axis=1) / 6).astype(np.uint8)
    losses = []
    with joined(torch.device("cpu")) as group:
        t = Trainer(images, layers=[16, 8], latent_size=3, activation="relu", epochs=2, batch_size=8,
                    learning_rate=0.01, schedule="one-cycle", seed=1,
                    device=torch.device("cpu"), group=group, **json.loads(sys.argv[1]))
        def each(batches):
            before = 0.0
            for batch in batches:
                yield batch
                losses.append((t.total.item() - before) / len(batch))
                before = t.total.item()
        for _ in range(2):
            t.epoch(each)
            losses.append(t.test(images[:50]))
        if group.first:
            print(json.dumps(losses))
"""


def losses(processes: int, recipe: dict[str, object], folder: Path) -> list[float]:
    """Of each of 52 steps, the last batches being of one image, and of two tests."""
    script = folder / "steps.py"
    script.write_text(textwrap.dedent(STEPS))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    result = subprocess.run(
        [sys.executable, *launcher, script, json.dumps(recipe)],
        cwd=ROOT,
        env=environment({"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert len(found) == 54
    return [float(loss) for loss in found]


@pytest.mark.parametrize("recipe", [{"optimizer": "adam"}, {"optimizer": "sgd", "noise": 0.3}], ids=str)
def test_processes_together_have_the_losses_of_one(recipe: dict[str, object], tmp_path: Path) -> None:
    one = losses(1, recipe, tmp_path)
    assert one[-1] < one[0]
    for processes in (2, 3):
        assert losses(processes, recipe, tmp_path) == pytest.approx(one, rel=0, abs=5e-7)


def training(
    project: Project, *command: str, env: dict[str, str] | None = None
) -> AbstractContextManager["subprocess.Popen[str]"]:
    """A training by that command, from the end of its first epoch on."""
    return project.begun(*command, until="epoch ", env=env)


def ranks(process: "subprocess.Popen[str]") -> dict[int, psutil.Process]:
    """The processes that train."""
    found = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        if child.status() != psutil.STATUS_ZOMBIE and (rank := child.environ().get("RANK")):
            found[int(rank)] = child
    return found


def outs(project: Project) -> list[str]:
    return [path for path in project.contents("data/train") if not path.endswith(".gitignore")]


@pytest.fixture
def pair(project: Project) -> Project:
    """A project whose training takes two processes, and some ten seconds."""
    project.edit({"train": {"processes": 2, "epochs": 150, "batch_size": 3}})
    return project


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_dies_ends_the_run_and_the_next_goes_on(rank: int, pair: Project) -> None:
    pair.edit({"train": {"epochs": 20}})
    whole = pair.copy(pair.root.parent / "whole")
    whole.repro("train")
    with training(pair, "dvc", "repro", "train") as process:
        ranks(process)[rank].kill()
        output = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert output.count(f"process {rank} of 2 ended by SIGKILL") == 1
    assert "Traceback" not in output
    assert not outs(pair)
    result = pair.run("dvc", "repro", "train")
    assert "goes on" in result.stdout
    assert pair.contents("data/train") == whole.contents("data/train")


def test_torchruns_restarts_go_on_by_themselves(pair: Project) -> None:
    pair.edit({"train": {"epochs": 30}})
    command = ["torchrun", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1", "-m", "stages.train"]
    with training(pair, *command) as process:
        ranks(process)[1].kill()
        output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert output.count("goes on") == 1
    assert output.count("epoch 30/30: ") == 1


@pytest.mark.parametrize("command", [["dvc", "repro", "train"], ["python", "-m", "stages.train"]], ids=" ".join)
def test_ctrl_c_ends_all_of_them_quietly(command: Sequence[str], pair: Project) -> None:
    with training(pair, *command) as process:
        members = [*ranks(process).values()]
        os.killpg(process.pid, signal.SIGINT)
        output = process.communicate(timeout=60)[0]
    assert process.returncode not in (0, None)
    assert "Traceback" not in output.partition("Traceback (most recent call last)")[0]
    assert "stages/" not in output.partition("Traceback")[2]
    assert not psutil.wait_procs(members, timeout=5)[1]


def test_they_end_with_their_dvc(pair: Project) -> None:
    with training(pair, "dvc", "repro", "train") as process:
        members = [*ranks(process).values()]
        process.kill()
        assert not psutil.wait_procs(members, timeout=10)[1]
        output = process.communicate(timeout=10)[0]
    assert "what started this has ended" in output
    assert not outs(pair)


def test_what_all_of_them_refuse_is_said_once(pair: Project) -> None:
    (pair.root / "data/download/dataset.json").write_text("[]")
    result = pair.stage("train")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("dataset.json: damaged") == 1
    assert result.stderr.count("\n") == 1


def can_unshare(*flags: str) -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", *flags, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_unshare("--pid", "--fork"), reason="needs the right to a pid namespace")
def test_where_proc_is_about_other_processes_a_run_is_not_ended(project: Project) -> None:
    result = project.run("unshare", "--pid", "--fork", "dvc", "repro", "--force", "--single-item", "plot")
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search("Running stage 'plot'", result.stdout)


@contextmanager
def two_hosts() -> Iterator[tuple[str, str]]:
    """Two network namespaces joined by a cable of their own, 10.77.0.1 and 10.77.0.2."""
    names = [f"host{os.getpid()}{letter}" for letter in "ab"]
    commands = [
        *(f"ip netns add {name}" for name in names),
        f"ip link add {names[0][-8:]} netns {names[0]} type veth peer name {names[1][-8:]} netns {names[1]}",
        *(f"ip -n {name} addr add 10.77.0.{n}/24 dev {name[-8:]}" for n, name in enumerate(names, start=1)),
        *(f"ip -n {name} link set {link} up" for name in names for link in ("lo", name[-8:])),
    ]
    try:
        for command in commands:
            if subprocess.run(command.split(), capture_output=True, check=False).returncode:
                pytest.skip("needs the right to network namespaces")
        yield names[0], names[1]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@pytest.mark.skipif(shutil.which("ip") is None, reason="needs ip")
def test_two_hosts_train_together(project: Project, tmp_path: Path) -> None:
    project.edit({"train": {"epochs": 3}})
    other = project.copy(tmp_path / "other")
    with two_hosts() as hosts:
        started = []
        for number, (host, copy) in enumerate(zip(hosts, (project, other), strict=True)):
            launcher = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d"]
            launcher += [
                "--rdzv-endpoint",
                "10.77.0.1:29400",
                "--rdzv-id",
                "both",
                "--local-addr",
                f"10.77.0.{number + 1}",
            ]
            launcher += ["--rdzv-conf", f"is_host={1 - number}"]
            started.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", host, "torchrun", *launcher, "-m", "stages.train"],
                    cwd=copy.root,
                    env=environment({"GLOO_SOCKET_IFNAME": host[-8:]}),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
        outputs = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    assert sorted(output.count("2 processes together") for output in outputs) == [0, 1]
    rows = [len((copy.root / "data/train/loss.csv").read_text().splitlines()) for copy in (project, other)]
    assert 4 in rows  # the one that wrote
