"""Damaged inputs: refused in a line that names the file, or, where no format can show the damage, restored by DVC."""

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import safetensors.numpy
import yaml

from tests.conftest import State
from tests.dry_run import dry_run
from tests.faults.marks import faults
from tests.project import ALL, ROOT, SMALL, Project, merge

VALUES = merge(yaml.safe_load((ROOT / "params.yaml").read_text()), SMALL)
HEADER = 2048  # bytes at a file's beginning where most of the flips go: there stands what a format can show


def inputs(stage: str) -> list[str]:
    """The stage's deps among the data, with `${section.key}` filled in."""
    paths = [path for path in ALL[stage].get("deps", []) if path.startswith("data/")]
    for section, values in VALUES.items():
        for key, value in values.items():
            paths = [path.replace(f"${{{section}.{key}}}", str(value)) for path in paths]
    return paths


READS = [(stage, path) for stage in ALL for path in inputs(stage)]
READING = [stage for stage in ALL if inputs(stage)]
A_READ_OF_EACH_KIND = [  # of files
    ("extract", "data/download/dataset.json"),
    ("extract", "data/download/train_images.npy"),
    ("extract", "data/train/autoencoder.safetensors"),
    ("plot", "data/extract/latents.csv"),
    ("render", "data/train/checkpoints"),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A read of each kind of file; in the long form every read of every stage."""
    if {"stage", "dep"} <= set(metafunc.fixturenames):
        reads = READS if metafunc.config.getoption("--torture") else A_READ_OF_EACH_KIND
        metafunc.parametrize(("stage", "dep"), reads)


def files(root: Path, path: str) -> list[str]:
    """The files to damage for that dep: itself, or the first and last in the folder that it is."""
    if (root / path).is_file():
        return [path]
    inside = sorted(inner.name for inner in (root / path).iterdir())
    return [f"{path}/{name}" for name in dict.fromkeys([inside[0], inside[-1]])]


def all_files(root: Path, stage: str) -> list[str]:
    return [name for path in inputs(stage) for name in files(root, path)]


@contextmanager
def replaced(path: Path, data: bytes) -> Iterator[None]:
    """`data` in the place of the file, as a new one: an old one may still be mapped."""
    kept = path.rename(path.parents[1] / "kept")  # its own folder may be a dep itself, whose files are counted
    try:
        path.write_bytes(data)
        yield
    finally:
        path.unlink()
        kept.rename(path)


def check_refusal(message: str, *names: str) -> None:
    assert len(message.splitlines()) == 1, message
    assert len(message) < 600
    assert message.isprintable()
    assert any(name in message for name in names), f"{message} does not name {names}"


@pytest.mark.timeout(1800)
def test_cut_off(stage: str, dep: str, damageable: Path, torture: bool, state: State) -> None:
    """Every length is refused, except where white space alone is missing.

    A confusion matrix without some actual classes is also right, because a class may have no test image.
    """
    cuts = 0
    for name in files(damageable, dep):
        path = damageable / name
        data = path.read_bytes()
        draw = random.Random(name)
        lengths = {0, 1, len(data) - 1, len(data) // 2, *draw.choices(range(len(data)), k=300 if torture else 10)}
        lengths |= set(range(min(len(data), HEADER)) if torture else draw.choices(range(min(len(data), 300)), k=10))
        if name.endswith(".csv"):  # where what is left is a table still
            lengths |= {length for length in range(1, len(data)) if data[length - 1 : length] == b"\n"}
        for length in lengths:
            with replaced(path, data[:length]):
                message = dry_run(stage, damageable)
            if message is None:
                lines = data[:length].splitlines(keepends=True)
                classes = lines[-1].endswith(b"\n") and (len(lines) - 1) % 10 == 0
                assert (classes and name.endswith("confusion.csv")) or (
                    name.endswith(".json") and not data[length:].strip()
                )
            else:
                check_refusal(message, dep)
        cuts += len(lengths)
    state("damaged inputs: cut off", lengths=cuts)


@pytest.mark.timeout(1800)
def test_flipped_bits(stage: str, dep: str, damageable: Path, torture: bool, state: State) -> None:
    """A flip is refused, or makes other contents that are as good as any: another pixel, weight, digit or letter."""
    counts: Counter[str] = Counter()
    siblings = all_files(damageable, stage)
    for name in files(damageable, dep):
        path = damageable / name
        data = path.read_bytes()
        draw = random.Random(name)
        places = [draw.randrange(8 * min(HEADER, len(data))) for _ in range(150 if torture else 16)]
        places += [draw.randrange(8 * len(data)) for _ in range(30 if torture else 3)]
        for place in places:
            flipped = bytearray(data)
            flipped[place // 8] ^= 1 << place % 8
            with replaced(path, bytes(flipped)):
                message = dry_run(stage, damageable)
            counts["that_no_format_shows" if message is None else "refused"] += 1
            if message is not None:
                # Two files that don't fit together: either may be the damaged one. Or the params no longer fit.
                check_refusal(message, *siblings, *inputs(stage), "params.yaml")
    state("damaged inputs: flipped bits", **counts)


@pytest.mark.timeout(1800)
def test_replaced(stage: str, dep: str, damageable: Path, state: State) -> None:
    """Empty, gone, unreadable, a folder, a pipe, a device, a link to nowhere or to itself, text, another's contents."""
    tried = 0
    for name in files(damageable, dep):
        path = damageable / name
        data = path.read_bytes()
        neighbors = {other: (damageable / other).read_bytes() for other in all_files(damageable, stage)}
        contents = {"empty": b"", "text": b"<!DOCTYPE html>\n<title>404</title>\n", "pickle": b"\x80\x04]\x94.",
                    "zeros": bytes(len(data)), "ones": b"\xff" * len(data), "twice": data * 2, "more": data + b"\0",
                    "null": b"null", "deep": b"[" * 100_000, "numpy": b"\x93NUMPY"}  # fmt: skip
        for kind, other in (contents | neighbors).items():
            with replaced(path, other):
                message = dry_run(stage, damageable)
            tried += 1
            if message is None:
                assert other == data or fits(kind, name), kind
            else:
                check_refusal(message, *all_files(damageable, stage), *inputs(stage), "params.yaml")
        for kind, make in KINDS.items():
            path.rename(damageable / "kept")
            make(path)
            message = dry_run(stage, damageable)
            tried += 1
            assert message is not None, kind
            check_refusal(message, dep)
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
            (damageable / "kept").rename(path)
    assert dry_run(stage, damageable) is None
    state("damaged inputs: replaced by something else", refused=tried)


KINDS: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: None,
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "nowhere": lambda path: path.symlink_to("nowhere"),
    "itself": lambda path: path.symlink_to(path.name),
}


def fits(other: str, name: str) -> bool:
    """Whether a neighbor's contents are of the same kind and shape, so that only the hashes could tell.

    `selection.json` has the name and the classes that a stage reads in `dataset.json`.
    """
    kinds = [Path(path).name.removeprefix("train_").removeprefix("test_") for path in (other, name)]
    if kinds == ["selection.json", "dataset.json"]:
        return True
    return kinds[0] == kinds[1] or all(path.endswith(".safetensors") for path in (other, name))


@pytest.mark.parametrize("stage", ["plot"])
def test_unreadable(stage: str, damageable: Path) -> None:
    user = os.geteuid()
    assert dry_run(stage, damageable) is None  # and has imported what it needs
    damageable.chmod(0o755)
    for name in all_files(damageable, stage):
        path = damageable / name
        path.chmod(0)
        with chdir(damageable):  # what is here is found even by a user who may not walk down to it
            try:
                if user == 0:
                    os.seteuid(65534)  # root reads all
                message = dry_run(stage, None)
            finally:
                os.seteuid(user)
        path.chmod(0o644)
        assert message == f"{name}: Permission denied"


@pytest.mark.parametrize("stage", ["plot"])
def test_a_stage_refuses_with_no_traceback_and_writes_nothing(stage: str, project: Project, torture: bool) -> None:
    """The same as a process of its own: for each input one damage, or several."""
    for name in all_files(project.root, stage) if torture else all_files(project.root, stage)[-1:]:
        path = project.root / name
        data = path.read_bytes()
        half = data[: len(data) // 2]  # and not all but the last byte, which may be a mere line break
        for damage in [half, data[:-2], data[:1], b"", data * 2] if torture else [half]:
            path.write_bytes(damage)
            before = project.contents()
            result = project.stage(stage)
            assert result.returncode == 1
            check_refusal(result.stderr.rstrip("\n"), name)
            assert result.stdout == ""
            assert project.contents() == before
        path.write_bytes(data)


def flip(path: Path) -> bytes:
    """Flip one bit in the file's payload, its last bytes; give what it held."""
    data = path.read_bytes()
    path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    return data


@faults
def test_dvc_notices_a_flip_that_no_format_shows_and_brings_the_right_bytes_back(project: Project) -> None:
    before = project.contents()
    tracked = [path for path in before if path.count("/") > 1 and not path.endswith(".gitignore")]
    for path in tracked:
        flip(project.root / path)
    pixels, weights = "data/download/train_images.npy", "data/train/autoencoder.safetensors"
    assert np.load(project.root / pixels).shape == (300, 28, 28, 1)
    assert len(safetensors.numpy.load_file(project.root / weights)) > 0
    status = project.run("dvc", "status", check=True).stdout
    for path in tracked:
        assert path in status or str(Path(path).parent) in status, f"{path} is changed, and dvc status silent"
    assert project.repro() == set(), "all of it is in the cache"
    assert project.contents() == before
    assert "up to date" in project.run("dvc", "status", "dvc.yaml", check=True).stdout


@faults
def test_without_the_cache_the_right_bytes_are_made_again(project: Project) -> None:
    before = project.contents()
    shutil.rmtree(project.root / ".dvc" / "cache")
    flip(project.root / "data/download/train_images.npy")
    flip(project.root / "data/train/autoencoder.safetensors")
    assert project.repro("train") == {"download", "train"}
    assert project.contents() == before


Operations = list[dict[str, Any]]


def linear(inputs: Any, outputs: Any) -> dict[str, Any]:
    return {"kind": "linear", "in_features": inputs, "out_features": outputs}


RELU, SIGMOID = {"kind": "relu"}, {"kind": "sigmoid"}
ENCODER = [linear(784, 12), RELU, linear(12, 3)]
DECODER = [linear(3, 12), RELU, linear(12, 784), SIGMOID]


def write_model(path: Path, **claimed: object) -> None:
    """An autoencoder 784-12-3's file, whose metadata say what is `claimed` instead."""
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    for part, operations in (("encoder", ENCODER), ("decoder", DECODER)):
        for place, of in enumerate(operations):
            if of["kind"] == "linear":
                tensors[f"{part}.{place}.weight"] = np.zeros((of["out_features"], of["in_features"]), np.float32)
                tensors[f"{part}.{place}.bias"] = np.zeros(of["out_features"], np.float32)
    header: dict[str, object] = {"height": 28, "width": 28, "channels": 1}
    header |= {"encoder": ENCODER, "decoder": DECODER, "training": {}} | claimed
    path.write_bytes(safetensors.numpy.save(tensors, {"autoencoder": json.dumps(header)}))


@pytest.mark.parametrize(
    "claimed",
    [
        {"encoder": [linear(784, 13), RELU, linear(13, 3)]},  # other shapes than the weights'
        {"encoder": [linear(784, 12), RELU, linear(12, 3), linear(3, 3)]},  # more operations than weights
        {"encoder": [linear(784, 12), RELU, linear(12, 3.0)]},
        {"encoder": [linear(784, -12), RELU, linear(-12, 3)]},
        {"encoder": [linear(784, 12), RELU, linear(12, 10**18)]},
        {"encoder": [linear(784, 12) | {"stride": 1}, RELU, linear(12, 3)]},
        {"encoder": [{"kind": "linear"}, RELU, linear(12, 3)]},
        {"encoder": [linear(784, 12), {"kind": "__import__('os').mkdir('ran')"}, linear(12, 3)]},
        {"encoder": [linear(784, 12), "relu", linear(12, 3)]},
        {"encoder": []},
        {"encoder": None},
        {"decoder": [linear(3, 12), RELU, linear(12, 783), SIGMOID]},  # other pixels than height x width
        {"decoder": ENCODER},
        {"height": -28, "width": -28},
        {"height": 28.0},
        {"channels": 3},
        {"training": None},
    ],
    ids=str,
)
def test_operations_that_do_not_match_the_weights_are_refused(claimed: dict[str, object], damageable: Path) -> None:
    path = damageable / "data/train/autoencoder.safetensors"
    write_model(path)
    assert dry_run("extract", damageable) is None
    write_model(path, **claimed)
    message = dry_run("extract", damageable)
    assert message is not None
    check_refusal(message, "data/train/autoencoder.safetensors: damaged: expected ")
    assert not (damageable / "ran").exists()


def test_a_model_file_executes_nothing(damageable: Path) -> None:
    """Neither as a pickle nor as an array of pickled objects, wherever such a file is put."""
    import pickle

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(damageable / "ran"),)

    objects = np.empty(1, object)
    objects[0] = Trap()
    np.save(damageable / "objects.npy", objects, allow_pickle=True)
    traps = [pickle.dumps(Trap()), (damageable / "objects.npy").read_bytes()]
    for stage in ALL:
        for name in all_files(damageable, stage) if stage in READING else []:
            for trap in traps:
                with replaced(damageable / name, trap):
                    message = dry_run(stage, damageable)
                assert message is not None
                assert not (damageable / "ran").exists()


def test_weights_that_overflow_give_no_latents(damageable: Path) -> None:
    path = damageable / "data/train/autoencoder.safetensors"
    tensors = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    huge = {name: np.full_like(tensor, 3e38) for name, tensor in tensors.items()}
    path.write_bytes(safetensors.numpy.save(huge, metadata))
    message = dry_run("extract", damageable)
    assert message is not None
    check_refusal(message, "data/train/autoencoder.safetensors: damaged: expected weights with finite latents")


# Folders that a stage lists.

CHECKPOINTS = "data/train/checkpoints"
LISTING = [stage for stage in ALL if CHECKPOINTS in inputs(stage)]


@pytest.mark.parametrize("stage", LISTING)
def test_what_a_desktop_leaves_among_the_checkpoints_is_passed_over(stage: str, damageable: Path) -> None:
    folder = damageable / CHECKPOINTS
    for name in (".DS_Store", "._1.safetensors", "Thumbs.db", "desktop.ini", "Icon\r", ".directory", "notes.txt", "1"):
        (folder / name).write_bytes(b"\0\0\0\1Bud1")
    (folder / "__MACOSX").mkdir()
    assert dry_run(stage, damageable) is None


@pytest.mark.parametrize("stage", LISTING)
@pytest.mark.parametrize("name", ["3.safetensors", "01.safetensors", "1 (copy).safetensors"])
def test_what_looks_like_a_checkpoint_and_is_none_is_refused(stage: str, name: str, damageable: Path) -> None:
    folder = damageable / CHECKPOINTS
    shutil.copy(folder / "1.safetensors", folder / name)
    message = dry_run(stage, damageable)
    assert message is not None
    check_refusal(message, CHECKPOINTS)
    assert name in message


@pytest.mark.parametrize("stage", LISTING)
def test_a_checkpoint_in_the_place_of_another_is_refused(stage: str, damageable: Path) -> None:
    folder = damageable / CHECKPOINTS
    (folder / "2.safetensors").rename(folder / "3.safetensors")
    message = dry_run(stage, damageable)
    assert message is not None
    check_refusal(message, CHECKPOINTS)


def test_what_a_desktop_leaves_reruns_nothing(project: Project) -> None:
    for name in (".DS_Store", "._1.safetensors", "Thumbs.db", "desktop.ini"):
        (project.root / CHECKPOINTS / name).write_bytes(b"\0\0\0\1Bud1")
    assert project.repro() == set()


# What fails as it is read is named.


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """A link to what opens, and can't be read or mapped: an error of the system's that names no file."""
    kept = path.rename(path.parents[1] / "kept")
    try:
        path.symlink_to("/proc/self/mem")
        yield
    finally:
        path.unlink()
        kept.rename(path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs /proc")
def test_an_input_that_fails_as_it_is_read_is_named(stage: str, dep: str, damageable: Path) -> None:
    for name in files(damageable, dep):
        with unreadable(damageable / name):
            message = dry_run(stage, damageable)
        assert message is not None
        assert message.startswith(f"{name}: "), message
        assert "writing" not in message
        assert len(message.splitlines()) == 1


def test_a_file_system_without_mmap_is_named(damageable: Path) -> None:
    with patch("mmap.mmap", side_effect=OSError(19, "No such device")):
        message = dry_run("extract", damageable)
    assert message is not None
    assert message.endswith(".npy: No such device")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs /proc")
@pytest.mark.parametrize("name", ["params.yaml", "data/small.yaml"])
def test_what_a_person_wrote_is_named_too(name: str, damageable: Path) -> None:
    path = damageable / name
    path.unlink()
    path.symlink_to("/proc/self/mem")
    result = Project(damageable).stage("download", env={"PYTHONPATH": str(ROOT)})
    assert (result.returncode, result.stderr) == (1, f"{name}: Input/output error\n")
