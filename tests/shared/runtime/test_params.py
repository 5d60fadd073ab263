"""`params.yaml`: read as DVC reads it; what is wrong is said in a line that names the key; nothing in it ever runs."""

import importlib
import random
import re
from contextlib import chdir
from copy import deepcopy
from functools import reduce
from itertools import pairwise
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.serialize import load_yaml

from stages.shared.runtime import params
from stages.shared.runtime.errors import InputError
from stages.shared.runtime.yaml_reader import read_document
from tests.conftest import State
from tests.dry_run import dry_run
from tests.faults.marks import all_but
from tests.project import ALL, ROOT, Project, merge, nest

VALID: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())


def model(stage: str) -> type[params.Section]:
    return importlib.import_module(f"stages.{stage}").Params  # type: ignore[no-any-return]


def read(text: str | bytes, stage: str, folder: Path) -> params.Section:
    path = folder / "params.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with chdir(folder):
        return params.read(stage, model(stage))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(text: str | bytes, stage: str, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(text, stage, folder)
    return str(caught.value)


def edited(**changes: Any) -> str:
    if changes.get("train"):
        changes["train"] = nest(changes["train"])
    return yaml.safe_dump(merge({name: {} for name in changes} | VALID, changes), sort_keys=False)


def without(section: str, key: str | None = None) -> str:
    document = deepcopy(VALID)
    parent = document if key is None else document[section]
    del (parent if (key or section) in parent else parent["pixels"])[key or section]
    return yaml.safe_dump(document)


def in_train(line: str) -> str:
    """The valid document with a line more in its section `train`."""
    return (ROOT / "params.yaml").read_text().replace("train:\n", f"train:\n  {line}\n", 1)


def for_rate(value: str) -> str:
    """The valid document with the learning rate written so."""
    text = (ROOT / "params.yaml").read_text()
    return re.sub(r"learning_rate: \S+", lambda _: f"learning_rate: {value}", text, count=1)


@pytest.mark.parametrize("stage", ALL)
def test_the_projects_own_file_is_read(stage: str, tmp_path: Path) -> None:
    section = read((ROOT / "params.yaml").read_text(), stage, tmp_path)
    assert section.model_dump() == VALID[stage]


def line(key: str) -> int:
    """The number of the first line of `params.yaml` that begins with `key`."""
    lines = (ROOT / "params.yaml").read_text().splitlines()
    return 1 + next(number for number, text in enumerate(lines) if text.strip().startswith(key))


IN_TRAIN = line("train:") + 1
AT_RATE = f"not valid YAML at line {line('learning_rate:')}, column 20: "
# As DVC reads them, one of a kind.
NUMBERS = {"1e-05": 1e-05, ".5": 0.5, "+0.25": 0.25, "0x10": 16, "0o17": 15, "1_000": 1000, "!!float 1": 1.0}
WORDS = {"no": "'no'", "1:30": "'1:30'", "'0.005'": "'0.005'", "2026-01-01": "the date 2026-01-01"}


@pytest.mark.parametrize("written", [*NUMBERS, *WORDS])
def test_a_value_is_what_dvc_takes_it_for(written: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(for_rate(written))
    value, dvcs = (document["train"]["pixels"]["learning_rate"] for document in (read_document(path), load_yaml(path)))
    assert (value, type(value)) == (dvcs, type(dvcs))
    if written in NUMBERS:
        section: Any = read(for_rate(written), "train", tmp_path)
        assert section.pixels.learning_rate == NUMBERS[written]
    else:
        message = refusal(for_rate(written), "train", tmp_path)
        assert message == f"params.yaml: train.pixels.learning_rate: expected a valid number, got {WORDS[written]}"


def test_an_alias_is_plain_data(tmp_path: Path) -> None:
    document = for_rate("&rate 0.125").replace("elevation: 20", "elevation: *rate")
    section: Any = read(document, "plot", tmp_path)
    assert section.elevation == 0.125


CODE = "!!python/object/apply:os.mkdir [ran]"
MESSAGES: list[tuple[str | bytes, str]] = [
    (edited(train={"latent_siz": 3}), "train: unknown key 'latent_siz'; did you mean 'latent_size'?"),
    (edited(train={"pixels": {"epoch": 3}}), "train.pixels: unknown key 'epoch'; did you mean 'epochs'?"),
    (in_train("layers: [8]"), "train.layers is now train.pixels.layers"),
    (in_train("steps: 8"), "train.steps is now train.components.steps"),
    (edited(trian={}), "unknown key 'trian'; did you mean 'train'?"),
    (in_train("1: 2"), "train.1: Keys should be strings, got 1"),
    (without("train"), "the section 'train' is missing; add it with the keys recipe, validation, "),
    (without("train", "epochs"), "train.pixels.epochs: missing; add it"),
    (edited(train=None), "train: expected the keys recipe, validation, "),
    (edited(train={"epochs": "ten"}), "train.pixels.epochs: expected a valid integer, got 'ten'"),
    (edited(train={"epochs": True}), "train.pixels.epochs: expected a valid integer, got True"),
    (edited(train={"epochs": 0}), "train.pixels.epochs: expected greater than or equal to 1, got 0"),
    (edited(train={"learning_rate": -1e-3}), "train.pixels.learning_rate: expected greater than 0, got -0.001"),
    (edited(train={"learning_rate": float("nan")}), "train.pixels.learning_rate: expected a finite number, got nan"),
    (edited(train={"device": "tpu"}), "train.device: expected 'auto', 'cpu', 'cuda' or 'mps', got 'tpu'"),
    (edited(train={"layers": [128, "64"]}), "train.pixels.layers.1: expected a valid integer, got '64'"),
    (in_train("latent_size: 3"), f"not valid YAML at line {line('latent_size:') + 1}, column 3: found duplicate key"),
    (in_train('{"a": 1}: 1'), f"not valid YAML at line {IN_TRAIN}, column 3: expected text as the key"),
    (b"", "empty; expected keys with values"),
    (b"train", "expected keys with values, got 'train'"),
    (b"train:\n\tepochs: 1", "not valid YAML at line 2, column 1: found character '\\t' that cannot start any token"),
    (b"train: {", "not valid YAML at line 1, column 9: "),
    (b"a: 1\n---\na: 2", "not valid YAML at line 2, column 1: but found another document"),
    (b"\xff\xfe\xfd", "not valid YAML: "),
    (for_rate("9" * 5000), "not valid YAML: Exceeds the limit"),
    (
        for_rate("0x" + "9" * 5000),
        "train.pixels.learning_rate: expected a valid number, got a number of over 40 digits",
    ),
    (for_rate("*nowhere"), f"{AT_RATE}found undefined alias 'nowhere'"),
    (for_rate("!!float ''"), "not valid YAML: "),
    (for_rate("2026-13-45"), "not valid YAML: month must be in 1..12"),
    (in_train("<<: {epochs: 3}"), f"not valid YAML at line {IN_TRAIN}, column 3: merge keys (<<) are not accepted"),
    (in_train("? [epochs]\n  : 3"), f"not valid YAML at line {IN_TRAIN}, column 5: expected text as the key"),
    (edited(foo={}), "unknown key 'foo'; expected "),
    (for_rate("!!binary aGk="), f"{AT_RATE}the tag 'binary' is not accepted; write plain values"),
    (for_rate("!!set {a}"), f"{AT_RATE}the tag 'set' is not accepted; write plain values"),
    (for_rate("!mine 1"), f"{AT_RATE}the tag '!mine' is not accepted; write plain values"),
    (for_rate(CODE), f"{AT_RATE}the tag 'python/object/apply:os.mkdir' is not accepted; write plain values"),
    ("[" * 30_000, "YAML nested too deeply"),
]


@pytest.mark.parametrize(("text", "message"), MESSAGES, ids=[message for _, message in MESSAGES])
def test_what_is_wrong_is_said_in_one_line(text: str | bytes, message: str, tmp_path: Path) -> None:
    refused = refusal(text, "train", tmp_path)
    assert refused.startswith(f"params.yaml: {message}")
    assert len(refused.splitlines()) == 1
    assert len(refused) < 500
    assert names(tmp_path) == ["params.yaml"], "nothing ran"


class Inner(params.Section):
    """What lies inside the section below, plainly, and as one of several."""

    train_images: int
    seed: int | None


class Outer(params.Section):
    """A section with others in it."""

    drawn: Inner
    maybe: Inner | None
    files: dict[str, Inner]


WHOLE = {"train_images": 1, "seed": None}


@pytest.mark.parametrize("place", [["drawn"], ["maybe"], ["files", "a.gz"]])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (WHOLE | {"train_image": 1}, ": unknown key 'train_image'; did you mean 'train_images'?"),
        (WHOLE | {"x": 1}, ": unknown key 'x'; expected train_images, seed"),
        ({"seed": 1}, ".train_images: missing; add it"),
        (3, ": expected the keys train_images, seed, got 3"),
    ],
)
def test_what_is_wrong_inside_a_section(place: list[str], value: object, message: str) -> None:
    nested: Any = {"drawn": WHOLE, "maybe": None, "files": {}}
    if len(place) == 1:
        nested[place[0]] = value
    else:
        nested[place[0]] = {place[1]: value}
    with pytest.raises(InputError) as caught:
        params.validate(Path("x.yaml"), ["outer"], Outer, nested)
    assert str(caught.value) == f"x.yaml: outer.{'.'.join(place)}{message}"


def test_each_of_many_errors_has_its_line_up_to_a_bound(tmp_path: Path) -> None:
    lines = refusal("train: {" + ", ".join(f"k{i}: 1" for i in range(1000)) + "}", "train", tmp_path).splitlines()
    assert len(lines) == 21
    assert "params.yaml: train.latent_size: missing; add it" in lines
    assert lines[-1] == f"params.yaml: and {1000 + len(VALID['train']) - 20} more"
    lines = refusal("\n".join(f"k{i}: 1" for i in range(1000)), "train", tmp_path).splitlines()
    assert lines[-1] == "params.yaml: and 980 more"


def laughs(levels: int = 30, width: int = 9) -> str:
    """A list of lists of … that would have `width` ** `levels` entries, were it ever written out."""
    names = [f"a{level}" for level in range(levels)]
    parts = [f"&{names[0]} [{', '.join(['lol'] * width)}]"]
    parts += [f"&{name} [{', '.join([f'*{inner}'] * width)}]" for inner, name in pairwise(names)]
    return f"[{', '.join(parts)}]"


def merged_laughs(levels: int = 30, width: int = 9) -> str:
    """The same of mappings, by merge keys."""
    parts = ["&m0 {a: 1}"]
    parts += [f"&m{level + 1} {{<<: [{', '.join([f'*m{level}'] * width)}]}}" for level in range(levels)]
    return f"[{', '.join(parts)}]"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("value", [laughs(), merged_laughs(), "&a [*a]"])
@pytest.mark.parametrize("place", ["learning_rate: {}", "extra: {}"])
def test_anchors_that_expand_without_end_do_not(value: str, place: str, tmp_path: Path) -> None:
    document = "train:\n  " + place.format(value)
    for line in refusal(document, "train", tmp_path).splitlines():
        assert re.match(r"params\.yaml: (train|not valid YAML|and \d+ more$)", line)
        assert len(line) < 500


# Documents near the valid one.

ODD = [None, True, -1, 0, 2**64, -(10**400), float("inf"), "", "auto", "1e-05", "\u202e", "é" * 300, [None], {"a": 1}]
Key = tuple[str, ...]


def keys(values: dict[str, Any], parents: Key) -> list[Key]:
    """The keys of a section, those within it too, each with the keys that it lies in."""
    found = [(*parents, key) for key in values]
    return found + [
        key for inner in found if isinstance(values[inner[-1]], dict) for key in keys(values[inner[-1]], inner)
    ]


def tampered(key: Key, change: Any) -> str:
    """The valid document with another value for that key, or the key dropped or renamed."""
    document = deepcopy(VALID)
    place = reduce(getitem, key[:-1], document)
    if change == "drop":
        del place[key[-1]]
    elif change == "rename":
        place[f"{key[-1]}s"] = place.pop(key[-1])
    else:
        place[key[-1]] = change
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


@pytest.fixture
def folder(finished: Project, tmp_path: Path) -> Path:
    """The results of a run, and room for another params.yaml."""
    (tmp_path / "data").symlink_to(finished.root / "data")
    return tmp_path


@pytest.mark.parametrize("stage", all_but(["train"], list(ALL)))
def test_documents_near_the_valid_one(stage: str, folder: Path, torture: bool, state: State) -> None:
    counts = {"accepted": 0, "refused": 0}
    tried = [(key, change) for key in keys(VALID[stage], (stage,)) for change in [*ODD, "drop", "rename"]]
    random.Random(0).shuffle(tried)
    for key, change in tried if torture else tried[:25]:
        (folder / "params.yaml").write_text(tampered(key, change))
        message = dry_run(stage, folder)
        counts["refused" if message else "accepted"] += 1
        if message:
            lines = message.splitlines()
            assert all(line.startswith("params.yaml: ") and len(line) < 500 for line in lines)
            assert any(name in message for name in key[1:]), (key, change, message)
        assert names(folder) == ["data", "params.yaml"]
    assert counts["refused"] > 0
    state("params.yaml: documents near the valid one", **counts)


@pytest.mark.parametrize(
    ("stage", "text", "message"),
    [
        ("download", edited(download={"source": "mnist"}), "download.source: expected an existing file or folder"),
        ("train", for_rate(CODE), f"{AT_RATE}the tag 'python/object/apply:os.mkdir' is not accepted"),
        (
            "plot",
            edited(plot={"colormap": "rainbw"}),
            "plot.colormap: expected classes or one of Matplotlib's, such as rainbow",
        ),
        ("render", edited(render={"indices": [300]}), "render.indices: expected indices below 300, got 300"),
    ],
)
def test_a_stage_refuses_with_no_traceback_and_writes_nothing(
    stage: str, text: str, message: str, project: Project
) -> None:
    (project.root / "params.yaml").write_text(text)
    before = project.contents()
    result = project.stage(stage)
    assert result.returncode == 1
    assert result.stderr.startswith(f"params.yaml: {message}")
    assert "Traceback" not in result.stderr
    assert project.contents() == before
    assert not (project.root / "ran").exists()


def test_a_missing_file_and_a_folder_in_its_place(project: Project) -> None:
    (project.root / "params.yaml").unlink()
    assert project.stage("plot").stderr == "params.yaml: not found; run this from the project's root\n"
    (project.root / "params.yaml").mkdir()
    assert project.stage("plot").stderr == "params.yaml: Is a directory\n"


def test_a_rate_that_dvc_writes_is_a_number(project: Project) -> None:
    """`dvc exp run -S train.pixels.learning_rate=0.00001` writes `1e-05`, which PyYAML takes for a word."""
    path = project.root / "params.yaml"
    path.write_text(re.sub(r"learning_rate: \S+", "learning_rate: 1e-05", path.read_text()))
    assert dry_run("train", project.root) is None
