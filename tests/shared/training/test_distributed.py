"""Several processes that train together: the same losses as one, and one voice."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.faults.marks import faults
from tests.project import ROOT, Project, environment
from tests.unshare import can_unshare

STEPS = """
    import json, multiprocessing, os, socket, sys
    import numpy as np, torch
    from stages.shared.training.build import make_trainer
    from stages.shared.training.distributed import init_process_group

    def train():
        torch.set_num_threads(1)
        noise = np.random.default_rng(0).random((201, 6, 5, 1))
        images = (255 * noise.cumsum(axis=1) / 6).astype(np.uint8)
        losses = []
        with init_process_group(torch.device("cpu")) as group:
            for recipe in json.loads(sys.argv[2]):
                found = []
                losses.append(found)
                params = dict(layers=[16, 8], latent_size=3, activation="relu", epochs=2, batch_size=8,
                              learning_rate=0.01, schedule="one-cycle", seed=1) | recipe
                t = make_trainer(images, params, torch.device("cpu"), group)
                for _ in range(2):
                    before = 0.0
                    for batch in t.batches():
                        t.train_batch(batch)
                        found.append((t.total.item() - before) / len(batch))
                        before = t.total.item()
                    t.end_epoch()
                    found.append(t.space.evaluate(images[:50], group))
            if group.is_rank_zero:
                print(json.dumps(losses))

    def join(rank, count, port):
        if count > 1:  # as torchrun has it, but PyTorch, which takes its time, is imported once
            os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
            os.environ.update(WORLD_SIZE=str(count), LOCAL_WORLD_SIZE=str(count), RANK=str(rank), LOCAL_RANK=str(rank))
        train()

    fork = multiprocessing.get_context("fork")
    for count in map(int, sys.argv[1].split()):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        processes = [fork.Process(target=join, args=[rank, count, port]) for rank in range(count)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0
"""
RECIPES = [{"optimizer": "adam"}, {"optimizer": "sgd", "noise": 0.3}]


def losses(counts: list[int], folder: Path) -> list[list[list[float]]]:
    """Of so many processes, by recipe, of each of 52 steps and two tests; the last batches are of one image."""
    script = folder / "steps.py"
    script.write_text(textwrap.dedent(STEPS))
    result = subprocess.run(
        [sys.executable, script, " ".join(map(str, counts)), json.dumps(RECIPES)],
        cwd=ROOT,
        env=environment({"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found: list[list[list[float]]] = [json.loads(line) for line in result.stdout.splitlines()]
    assert [len(each) for of in found for each in of] == [54] * len(RECIPES) * len(counts)
    return found


def test_processes_together_have_the_losses_of_one(tmp_path: Path) -> None:
    one, *several = losses([1, 2, 3], tmp_path)
    assert all(each[-1] < each[0] for each in one)
    for each in several:
        np.testing.assert_allclose(each, one, rtol=0, atol=5e-7)


@faults
def test_what_all_of_them_refuse_is_said_once(project: Project) -> None:
    project.edit({"train": {"processes": 2}})
    (project.root / "data/download/dataset.json").write_text("[]")
    result = project.stage("train")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("dataset.json: damaged") == 1
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (
            {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "{}"},
            "MASTER_ADDR, MASTER_PORT: ",
        ),
        pytest.param(
            {"PET_NNODES": "2", "PET_RDZV_BACKEND": "c10d", "PET_RDZV_ENDPOINT": "127.0.0.1:{}"}
            | {"PET_RDZV_CONF": "is_host=0,read_timeout=2"},
            "the processes did not find each other: ",
            marks=faults,
        ),
    ],
    ids=["of a worker", "of a launcher"],
)
def test_a_rendezvous_that_fails_is_one_line(env: dict[str, str], said: str, project: Project) -> None:
    """At a port that another program has bound, and where nothing listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        result = project.stage("train", env={name: value.format(port) for name, value in env.items()})
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1), result.stderr
    assert result.stderr.startswith(said)
    assert not re.search(r"frame #|0x|\.cpp", result.stderr)


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
    assert sorted(output.count("in each of 2 processes") for output in outputs) == [0, 1]
    rows = [len((copy.root / "data/train/loss.csv").read_text().splitlines()) for copy in (project, other)]
    assert 4 in rows  # the one that wrote
