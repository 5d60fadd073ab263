"""`params.yaml`: read as DVC reads it; what is wrong is said in a line that names the key; nothing in it ever runs."""

import importlib
import re
import time
from contextlib import chdir
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.serialize import load_yaml
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from stages.shared.process import params
from stages.shared.process.document import read_document
from stages.shared.process.errors import InputError
from tests.begin import begin
from tests.conftest import State
from tests.faults.marks import all_but
from tests.project import ALL, ROOT, Project, merge

VALID: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
SECONDS = 3  # of CPU for one document, far more than it takes


def model(stage: str) -> type[params.Section]:
    return importlib.import_module(f"stages.{stage}").Params  # type: ignore[no-any-return]


def read(text: str | bytes, stage: str, folder: Path) -> params.Section:
    path = folder / "params.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    started = time.process_time()
    with chdir(folder):
        try:
            return params.read(stage, model(stage))
        finally:
            assert time.process_time() - started < SECONDS


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(text: str | bytes, stage: str, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(text, stage, folder)
    return str(caught.value)


def edited(**changes: Any) -> str:
    return yaml.safe_dump(merge({name: {} for name in changes} | VALID, changes), sort_keys=False)


def without(section: str, key: str | None = None) -> str:
    document = deepcopy(VALID)
    del (document if key is None else document[section])[key or section]
    return yaml.safe_dump(document)


def in_train(line: str) -> str:
    """The valid document with a line more in its section `train`."""
    return (ROOT / "params.yaml").read_text().replace("train:\n", f"train:\n  {line}\n", 1)


def for_rate(value: str) -> str:
    """The valid document with the learning rate written so."""
    text, count = re.subn(
        r"learning_rate: \S+", lambda _: f"learning_rate: {value}", (ROOT / "params.yaml").read_text()
    )
    assert count == 1
    return text


@pytest.mark.parametrize("stage", ALL)
def test_the_projects_own_file_is_read(stage: str, tmp_path: Path) -> None:
    section = read((ROOT / "params.yaml").read_text(), stage, tmp_path)
    assert section.model_dump() == VALID[stage]


def line(key: str) -> int:
    """The number of the first line of `params.yaml` that begins with `key`."""
    lines = (ROOT / "params.yaml").read_text().splitlines()
    return 1 + next(number for number, text in enumerate(lines) if text.strip().startswith(key))


IN_TRAIN = line("train:") + 1
AT_RATE = f"not valid YAML at line {line('learning_rate:')}, column 18: "
NUMBERS = {"1e-05": 1e-05, "1E-5": 1e-05, "5e-3": 0.005, "1": 1.0, ".5": 0.5, "1.": 1.0, "+0.25": 0.25}
NUMBERS |= {"!!float 1": 1.0, "!!float '1e-05'": 1e-05, "&rate 0.125": 0.125}
NUMBERS |= {"0x10": 16, "0o17": 15, "0b11": 3, "1_000": 1000, "0_1.2_5": 1.25, "017": 17, "0xFF": 255}
NUMBERS |= {"!!int 0x10": 16, "1__0": 10, "!!float 1_0": 10.0}
WORDS = {word: repr(word) for word in ["no", "yes", "on", "off", "1:30", "0x1G", "1e", "0o8", "0b2", "1.5.2", "_1"]}
WORDS |= {"'0.005'": "'0.005'", "!!str 1": "'1'", "2026-01-01": "the date 2026-01-01"}
WORDS |= {"2026-01-01T10:00:00": "the date 2026-01-01 10:00:00"}


@pytest.mark.parametrize("written", [*NUMBERS, *WORDS])
def test_a_value_is_what_dvc_takes_it_for(written: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(for_rate(written))
    value, dvcs = (document["train"]["learning_rate"] for document in (read_document(path), load_yaml(path)))
    assert (value, type(value)) == (dvcs, type(dvcs))


@pytest.mark.parametrize("written", NUMBERS)
def test_a_number_is_one(written: str, tmp_path: Path) -> None:
    section: Any = read(for_rate(written), "train", tmp_path)
    assert section.learning_rate == NUMBERS[written]


@pytest.mark.parametrize("written", ["0x10", "0o20", "1_6", "0b10000"])
def test_a_whole_number_is_one(written: str, tmp_path: Path) -> None:
    text = re.sub(r"batch_size: \S+", f"batch_size: {written}", (ROOT / "params.yaml").read_text())
    section: Any = read(text, "train", tmp_path)
    assert section.batch_size == 16


def test_an_alias_is_plain_data(tmp_path: Path) -> None:
    document = for_rate("&rate 0.125").replace("elevation: 20", "elevation: *rate")
    section: Any = read(document, "plot", tmp_path)
    assert section.elevation == 0.125


@pytest.mark.parametrize("word", WORDS)
def test_a_word_or_date_is_no_number(word: str, tmp_path: Path) -> None:
    message = refusal(for_rate(word), "train", tmp_path)
    assert message == f"params.yaml: train.learning_rate: expected a valid number, got {WORDS[word]}"


MESSAGES: list[tuple[str | bytes, str]] = [
    (edited(train={"epoch": 3}), "train: unknown key 'epoch'; did you mean 'epochs'?"),
    (edited(train={"learning_rat\ne": 3}), r"train: unknown key 'learning_rat\ne'; did you mean 'learning_rate'?"),
    (edited(trian={}), "unknown key 'trian'; did you mean 'train'?"),
    (in_train("1: 2"), "train.1: Keys should be strings, got 1"),
    (without("train"), "the section 'train' is missing; add it with the keys: validation, layers, "),
    (without("train", "epochs"), "train.epochs: missing; add it"),
    (edited(train=None), "train: expected the keys validation, layers, "),
    (edited(train={"epochs": "ten"}), "train.epochs: expected a valid integer, got 'ten'"),
    (edited(train={"epochs": 1.5}), "train.epochs: expected a valid integer, got 1.5"),
    (edited(train={"epochs": True}), "train.epochs: expected a valid integer, got True"),
    (edited(train={"epochs": None}), "train.epochs: expected a valid integer, got None"),
    (edited(train={"epochs": 0}), "train.epochs: expected greater than or equal to 1, got 0"),
    (edited(train={"learning_rate": -1e-3}), "train.learning_rate: expected greater than 0, got -0.001"),
    (edited(train={"learning_rate": float("nan")}), "train.learning_rate: expected a finite number, got nan"),
    (edited(train={"learning_rate": float("inf")}), "train.learning_rate: expected a finite number, got inf"),
    (for_rate("1e999"), "train.learning_rate: expected a finite number, got inf"),
    (edited(train={"device": "tpu"}), "train.device: expected 'auto', 'cpu', 'cuda' or 'mps', got 'tpu'"),
    (edited(train={"layers": [128, "64"]}), "train.layers.1: expected a valid integer, got '64'"),
    (edited(train={"layers": 128}), "train.layers: expected a valid list, got 128"),
    (
        in_train(r'extra: {"a\nb": 1, "a\nb": 2}'),
        rf"not valid YAML at line {IN_TRAIN}, column 22: the key 'a\nb' stands twice",
    ),
    (in_train("epochs: 3"), f"not valid YAML at line {line('epochs:') + 1}, column 3: the key 'epochs' stands twice"),
    (in_train('{"a": 1}: 1'), f"not valid YAML at line {IN_TRAIN}, column 3: expected a key that is a word"),
    (b"", "empty; expected keys with values"),
    (b"# nothing\n", "empty; expected keys with values"),
    (b"train", "expected keys with values, got 'train'"),
    (b"train:\n\tepochs: 1", "not valid YAML at line 2, column 1: found character '\\t' that cannot start any token"),
    (b"train: {", "not valid YAML at line 1, column 9: "),
    (b"train: '", "not valid YAML at line 1, column 9: "),
    (b"a: 1\n---\na: 2", "not valid YAML at line 2, column 1: but found another document"),
    (b"\xff\xfe\xfd", "not valid YAML: "),
    (b"train: \x00", "not valid YAML"),
    (b"train: caf\xe9", "not valid YAML: "),
    (for_rate("9" * 5000), f"{AT_RATE}Exceeds the limit"),
    (for_rate("0x" + "9" * 5000), "train.learning_rate: expected a valid number, got a number of over 40 digits"),
    (for_rate("*nowhere"), f"{AT_RATE}found undefined alias 'nowhere'"),
    (for_rate("!!float ''"), AT_RATE),
    (for_rate("!!int ten"), f"{AT_RATE}invalid literal for int"),
    (for_rate("!!bool perhaps"), AT_RATE),
    (for_rate("2026-13-45"), f"{AT_RATE}month must be in 1..12"),
    (for_rate("="), f"{AT_RATE}the tag 'value' is not taken"),
    (in_train("<<: {epochs: 3}"), f"not valid YAML at line {IN_TRAIN}, column 3: merge keys (<<) are not taken"),
    (in_train("? [epochs]\n  : 3"), f"not valid YAML at line {IN_TRAIN}, column 5: expected a key that is a word"),
    (edited(train={"foo": 3}), "train: unknown key 'foo'; expected validation, layers, latent_size, activation, "),
    (edited(foo={}), "unknown key 'foo'; expected "),
    (for_rate("!!binary aGk="), f"{AT_RATE}the tag 'binary' is not taken; write plain values"),
    (for_rate("!!set {a}"), f"{AT_RATE}the tag 'set' is not taken; write plain values"),
    (for_rate("!mine 1"), f"{AT_RATE}the tag '!mine' is not taken; write plain values"),
    (for_rate("!<a%0Ab> 1"), rf"{AT_RATE}the tag 'a\nb' is not taken; write plain values"),
    ("[" * 30_000, "not usable YAML: nested too deeply"),
]


@pytest.mark.parametrize(("text", "message"), MESSAGES, ids=[message for _, message in MESSAGES])
def test_what_is_wrong_is_said_in_one_line(text: str | bytes, message: str, tmp_path: Path) -> None:
    refused = refusal(text, "train", tmp_path)
    assert refused.startswith(f"params.yaml: {message}")
    assert len(refused.splitlines()) == 1
    assert len(refused) < 500


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
    assert "params.yaml: train.epochs: missing; add it" in lines
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
@pytest.mark.parametrize("value", [laughs(), merged_laughs(), "&a [*a]", "&a {b: *a}", "&a {*a : 1}"])
@pytest.mark.parametrize("place", ["learning_rate: {}", "layers: {}", "layers: [{}]", "{}: 1", "extra: {}"])
def test_anchors_that_expand_without_end_do_not(value: str, place: str, tmp_path: Path) -> None:
    document = "train:\n  " + place.format(value)
    for line in refusal(document, "train", tmp_path).splitlines():
        assert re.match(r"params\.yaml: (train|not valid YAML|and \d+ more$)", line)
        assert len(line) < 500


CODE = [
    "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [ran]]",
    "!!python/object/apply:os.mkdir [ran]",
    "!!python/object/new:os.mkdir [ran]",
    "!!python/object:os.mkdir {}",
    "!!python/name:os.mkdir",
    "!!python/module:os",
    "!!python/tuple [1]",
    "!!python/bytes aGk=",
    "!python/object/apply:os.mkdir [ran]",
    "!<tag:yaml.org,2002:python/object/apply:os.mkdir> [ran]",
]


@pytest.mark.parametrize("tag", CODE)
@pytest.mark.parametrize("place", ["learning_rate: {}", "? {}\n  : 1", "<<: {}", "extra: [{{a: {} }}]"])
def test_no_code_runs_from_yaml(tag: str, place: str, tmp_path: Path) -> None:
    message = refusal("train:\n  " + place.format(tag), "train", tmp_path)
    assert re.search(r"the tag '.*' is not taken|merge keys \(<<\) are not taken|a key that is a word", message)
    assert names(tmp_path) == ["params.yaml"]


# Random documents near the valid ones.


class Written(str):
    """A value that stands in the document as it is, unquoted."""


SNIPPETS = [*CODE, laughs(12), merged_laughs(12), "&a [*a]", "&a {b: *a}", "*nowhere", "!!float ''", "!!set {a}", "<<"]
SNIPPETS += ["{", "'", "]", "- x", "%", "@", "`", "!!int '1_0'", "!!str [1]", "!!omap [a: 1]", "! x", "0o17", "1e-05"]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**30, -(10**400)]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["auto", "cpu", "random", "1e-05", "no", "~", "", "\u202e", "é" * 300, "\ud800"]),
    st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=5)), max_size=4),
    st.dictionaries(st.one_of(st.text(max_size=5), st.integers(), st.none()), st.integers(), max_size=3),
    st.builds(lambda depth: [[]] if depth == 0 else yaml.safe_load("[" * depth + "]" * depth), st.integers(1, 60)),
    st.builds(Written, st.sampled_from(SNIPPETS)),
)


def write(document: dict[Any, Any]) -> str:
    """`document` as YAML, with what is `Written` put in as it is."""
    raw: list[str] = []

    def shield(value: Any) -> Any:
        if isinstance(value, Written):
            raw.append(value)
            return f"RAW{len(raw) - 1}WAR"
        if isinstance(value, dict):
            return {key: shield(inner) for key, inner in value.items()}
        return [shield(inner) for inner in value] if isinstance(value, list) else value

    text = yaml.safe_dump(shield(document), sort_keys=False, allow_unicode=True, width=10**6)
    return re.sub(r"RAW(\d+)WAR", lambda match: raw[int(match[1])], text)


@st.composite
def mutated(draw: st.DrawFn, stage: str) -> tuple[str, list[str]]:
    """A document near the valid one, and the keys, in the section `stage` or its own, that were tampered with."""
    document: dict[Any, Any] = deepcopy(VALID)
    touched = []
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(_places(document, stage)))
        key = stage if place is document and stage in place else draw(st.sampled_from(list(place)))
        touched += [str(key), str(_mutate(draw, place, key))]
    return write(document), touched


def _places(document: dict[Any, Any], stage: str) -> list[dict[Any, Any]]:
    """The section, more often than others; what lies in it; and the document."""
    section = document.get(stage)
    if not isinstance(section, dict) or not section:
        return [document]
    return [document, *[section] * 5, *(value for value in section.values() if isinstance(value, dict) and value)]


def _mutate(draw: st.DrawFn, place: dict[Any, Any], key: Any) -> Any:
    """Tamper with `place[key]`, and give the key that came of it."""
    new = draw(st.one_of(st.text(max_size=8), st.integers(), st.none(), st.just(f"{key}s"), st.just(f"{key}_")))
    match draw(st.sampled_from(["near", "near", "near", "value", "value", "drop", "rename", "add", "nest"])):
        case "near":
            value = place[key]
            place[key] = value + draw(st.integers(-2, 3)) if isinstance(value, int | float) else deepcopy(value)
        case "value":
            place[key] = draw(ODD)
        case "drop":
            del place[key]
        case "rename":
            place[new] = place.pop(key)
        case "add":
            place[new] = draw(ODD)
        case "nest":
            place[key] = {key: place[key]}
    return new


@pytest.fixture
def folder(finished: Project, tmp_path: Path) -> Path:
    """The results of a run, and room for another params.yaml."""
    (tmp_path / "data").symlink_to(finished.root / "data")
    return tmp_path


@pytest.mark.parametrize("stage", all_but(["download", "train", "plot"], list(ALL)))
def test_documents_near_the_valid_one(stage: str, folder: Path, torture: bool, state: State) -> None:
    counts = {"accepted": 0, "refused": 0}

    @settings(
        max_examples=600 if torture else 60,
        deadline=None,  # the CPU's time is bounded below
        database=None,
        derandomize=not torture,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if torture else [Phase.generate],
    )
    @given(mutated(stage))
    def check(mutation: tuple[str, list[str]]) -> None:
        text, touched = mutation
        note(text)
        (folder / "params.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
        started = time.process_time()
        message = begin(stage, folder)
        assert message is None or time.process_time() - started < SECONDS
        counts["refused" if message else "accepted"] += 1
        if message:
            lines = message.splitlines()
            assert all(line.startswith("params.yaml: ") and len(line) < 500 for line in lines)
            keys = [repr(key)[1:-1][:8] for key in touched] + ["not valid YAML", "not usable YAML", "and "]
            assert any(key in message for key in keys)
        assert names(folder) == ["data", "params.yaml"]

    begin(stage, Path(folder / "data").resolve().parent)  # what it imports is no document's time
    check()
    assert min(counts.values()) > 0
    state("params.yaml: documents near the valid one", **counts)


@pytest.mark.parametrize(
    ("stage", "text", "message"),
    [
        ("download", edited(download={"source": "mnist"}), "download.source: expected a file or folder that is there"),
        ("download", edited(download={"fit": "squeeze"}), "download.fit: expected 'pad', 'crop' or 'stretch'"),
        ("train", for_rate(CODE[1]), f"{AT_RATE}the tag 'python/object/apply:os.mkdir' is not taken"),
        ("plot", "plot:\n  dpi: " + laughs(), "plot.style: missing; add it"),
        ("plot", edited(plot={"colormap": "rainbw"}), "plot.colormap: expected one of Matplotlib's, such as rainbow"),
        ("extract", edited(extract={"count": 301}), "extract.count: expected at most 300, the images, got 301"),
        ("render", edited(render={"indices": [300]}), "render.indices: expected indices below 300, got 300"),
        ("extract", "", "empty; expected keys with values"),
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
    """`dvc exp run -S train.learning_rate=0.00001` writes `1e-05`, which PyYAML takes for a word."""
    path = project.root / "params.yaml"
    path.write_text(re.sub(r"learning_rate: \S+", "learning_rate: 1e-05", path.read_text()))
    assert begin("train", project.root) is None
