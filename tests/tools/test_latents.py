"""What a user takes along: the latents of all images, those of another folder, the model as ONNX."""

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from PIL import Image

from stages.shared.formats import write_csv
from stages.shared.model.autoencoder import MODEL, Autoencoder
from stages.shared.runtime.errors import InputError
from tests.inputs import noisy_images, random_autoencoder, write_download
from tests.project import ROOT, Project
from tools import latents, to_onnx

SIZE = 8, 6, 3
NAMES = ["coat", "a, b", "é"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """40 and 20 images of a folder, and a model that was never trained."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    make(tmp_path, 40, 20)
    return tmp_path


def make(
    root: Path, train: int, test: int, latent_size: int = 4, classes: list[str] = NAMES, files: bool = True
) -> None:
    random = np.random.default_rng(1)
    splits = [noisy_images(random, count, SIZE) for count in (train, test)]
    write_download(root, splits[0], splits[1], classes)
    if files:
        rows = [
            [split, index, f"{split}, {index}.png"]
            for split, count in (("train", train), ("test", test))
            for index in range(count)
        ]
        write_csv(root / latents.PICTURES, ["split", "index", "file"], rows)
    (root / MODEL).parent.mkdir(parents=True, exist_ok=True)
    random_autoencoder(random, SIZE, latent_size=latent_size).write(root / MODEL)


def take(monkeypatch: pytest.MonkeyPatch, *outputs: str) -> None:
    monkeypatch.setattr(sys, "argv", ["latents", *outputs])
    latents.main()


def test_every_image_of_both_splits_has_its_row(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    take(monkeypatch, "all.parquet", "all.csv")
    assert "60 images, 4 numbers each, in all.parquet, all.csv" in capsys.readouterr().out
    table = pa.parquet.read_table("all.parquet")
    assert table.column_names == ["split", "index", "file", "class", "z1", "z2", "z3", "z4", "error"]
    autoencoder, start = Autoencoder.read(), 0
    for split, count in (("train", 40), ("test", 20)):
        part = table.slice(start, count).to_pydict()
        images, labels = (np.load(folder / f"data/download/{split}_{name}.npy") for name in ("images", "labels"))
        codes = autoencoder.encode(images)
        assert part["split"] == [split] * count
        assert part["index"] == list(range(count))
        assert part["file"] == [f"{split}, {index}.png" for index in range(count)]
        assert part["class"] == [NAMES[label] for label in labels]
        np.testing.assert_array_equal(np.stack([part[f"z{number}"] for number in (1, 2, 3, 4)], axis=1), codes)
        errors = np.square(images / 255 - autoencoder.decode(codes)).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(part["error"], errors, rtol=1e-5)
        start += count
    assert [str(table.schema.field(name).type) for name in ("z1", "error")] == ["float", "float"]
    for name, names in (("split", ["train", "test"]), ("class", NAMES)):
        assert table.column(name).chunk(0).dictionary.to_pylist() == names, "pandas reads categories"
    with Path("all.csv").open(newline="", encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    assert [row["file"] for row in listed] == table.column("file").to_pylist()
    assert [row["class"] for row in listed] == table.column("class").to_pylist()
    np.testing.assert_array_equal(np.array([row["z2"] for row in listed], np.float32), table.column("z2").to_numpy())


def test_blocks_change_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(monkeypatch, "whole.parquet", "whole.csv")
    monkeypatch.setattr(latents, "ROWS", 7)
    take(monkeypatch, "parts.parquet", "parts.csv")
    parts = pa.parquet.ParquetFile("parts.parquet")
    assert parts.num_row_groups == 6 + 3
    whole = pa.parquet.read_table("whole.parquet").to_pydict()
    for name, column in parts.read().to_pydict().items():
        assert column == (
            pytest.approx(whole[name], rel=1e-5, abs=1e-6) if name == "error" or name[0] == "z" else whole[name]
        )
    assert len(Path("parts.csv").read_text().splitlines()) == 61


def test_without_classes_or_files_these_are_empty(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(folder, 5, 3, classes=[], files=False)
    take(monkeypatch, "all.parquet", "all.csv")
    table = pa.parquet.read_table("all.parquet").to_pydict()
    assert table["class"] == table["file"] == [None] * 8
    assert pa.csv.read_csv("all.csv").num_rows == 8


def test_parquet_is_no_larger_than_its_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(folder, 20_000, 10, latent_size=8, files=False)
    take(monkeypatch, "all.parquet")
    assert Path("all.parquet").stat().st_size < 20_010 * 9 * 4


def test_refuses_in_words_and_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"OUTPUT: expected a file that ends in \.parquet or \.csv, got 'all\.txt'"):
        take(monkeypatch, "all.txt")
    with pytest.raises(InputError, match="OUTPUT: nowhere: no such folder"):
        take(monkeypatch, "nowhere/all.csv")
    write_csv(latents.PICTURES, ["split", "index", "file"], [["train", 1, "a.png"]])
    with pytest.raises(InputError, match=r"pictures\.csv: damaged: expected the files of train images 0 to 39"):
        take(monkeypatch, "all.csv", "all.parquet")
    make(folder, 5, 3)
    autoencoder = Autoencoder.read()
    autoencoder.encoder[-1].tensors[0][:] = 3e38
    autoencoder.write(MODEL)
    with pytest.raises(InputError, match="finite latents"):
        take(monkeypatch, "all.csv")
    assert {path.name for path in folder.iterdir()} == {"data"}


@pytest.fixture
def pictures(folder: Path) -> Path:
    """Pictures at any depth, of the model's size and of another, and one that is none."""
    random = np.random.default_rng(2)
    for name, size in {"a.png": (8, 6), "deep/er/b, c.png": (8, 6), "d.png": (31, 17)}.items():
        path = folder / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(256, size=(*size, 3)).astype(np.uint8)).save(path)
    (folder / "pictures/bad.jpg").write_bytes(b"nothing")
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    return folder / "pictures"


def encode(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return Project(folder).run("python", "-m", "tools.encode", *arguments)


def test_another_folder_is_encoded(folder: Path, pictures: Path) -> None:
    result = encode(folder, str(pictures), "--output", "new.parquet")
    assert result.returncode == 0, result.stderr
    assert "3 pictures, 4 numbers each, in new.parquet" in result.stdout
    assert [line.split(":")[1].strip() for line in result.stderr.splitlines()] == [str(pictures / "bad.jpg")]
    table = pa.parquet.read_table(folder / "new.parquet")
    assert table.column_names == ["file", "z1", "z2", "z3", "z4", "error"]
    found = {row["file"]: [row[f"z{number}"] for number in (1, 2, 3, 4)] for row in table.to_pylist()}
    assert set(found) == {str(path) for path in pictures.rglob("*.png")}
    for path, code in found.items():
        image = np.asarray(Image.open(path))
        if image.shape == SIZE:
            np.testing.assert_allclose(code, Autoencoder.read().encode(image)[0], rtol=1e-5, atol=1e-6)
    shown = encode(folder, str(pictures)).stdout.splitlines()
    assert shown[0] == '"file","z1","z2","z3","z4","error"'
    assert len(shown) == 4


def test_a_folder_without_pictures_leaves_no_table(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    for given, words in (("empty", "no readable picture"), ("nowhere", "expected a folder of pictures")):
        result = encode(folder, given, "--output", "new.csv")
        assert (result.returncode, words in result.stderr) == (1, True), result.stderr
        assert "Traceback" not in result.stderr
        assert not list(folder.glob("*new.csv"))


def exported(path: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "argv", ["onnx", path])
    to_onnx.main()
    return onnxruntime.InferenceSession(path)


def test_onnx_gives_the_same_numbers_for_any_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session, autoencoder = exported("model.onnx", monkeypatch), Autoencoder.read()
    for count in (1, 20):
        images = np.load("data/download/test_images.npy")[:count]
        codes, reconstructions = session.run(["latents", "reconstructions"], {"images": images})
        np.testing.assert_allclose(codes, autoencoder.encode(images), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(reconstructions, autoencoder.decode(codes), rtol=1e-4, atol=1e-5)
        assert reconstructions.shape == (count, *SIZE)
    onnx.utils.extract_model("model.onnx", "decoder.onnx", ["latents"], ["reconstructions"])
    decoder = onnxruntime.InferenceSession("decoder.onnx")
    np.testing.assert_allclose(decoder.run(None, {"latents": codes})[0], reconstructions, rtol=1e-4, atol=1e-5)


def test_onnx_is_one_file_that_tells_nothing_of_the_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported("model.onnx", monkeypatch)
    exported("again.onnx", monkeypatch)
    assert {path.name for path in folder.iterdir()} == {"data", "model.onnx", "again.onnx"}
    content = Path("model.onnx").read_bytes()
    assert content == Path("again.onnx").read_bytes()
    for words in (str(ROOT), "stages", ".py", "forward"):
        assert words.encode() not in content, words
    weights = {init.name for init in onnx.load("model.onnx").graph.initializer}
    assert {"encoder.0.weight", "decoder.0.bias"} <= weights
