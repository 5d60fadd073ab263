"""report: the pictures show what evaluate found."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages import evaluate, report
from stages.shared.images.dataset import DatasetInfo, LabeledImages
from stages.shared.palette import LIGHT
from tests.faults.marks import all_but
from tests.inputs import noisy_images, random_autoencoder
from tests.test_evaluate import CHANNELS, DATASET, HEIGHT, NAMES, SIZE, WIDTH, make


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluated(project: Path, names: Sequence[str] = NAMES, test: int = 40) -> None:
    make(project, names=list(names), test=test)
    evaluate.main()


def test_two_pictures_of_nobodys_software(project: Path) -> None:
    evaluated(project)
    report.main()
    first = {path.name: path.read_bytes() for path in sorted(report.FOLDER.iterdir())}
    report.main()
    assert list(first) == ["confusion.png", "examples.png"]
    assert first == {path.name: path.read_bytes() for path in sorted(report.FOLDER.iterdir())}
    for name in first:
        with Image.open(report.FOLDER / name) as picture:
            assert picture.width > 400
            assert picture.getextrema() != picture.convert("1").getextrema()
            assert "Software" not in picture.info


@pytest.mark.parametrize("files", [[], [f"{i % 3}/a_picture_{i:04}.jpeg" for i in range(40)]], ids=["", "files"])
@pytest.mark.parametrize("labeled", [True, False])
def test_examples_are_ranked_by_the_share_of_variance_lost(labeled: bool, files: list[str]) -> None:
    random = np.random.default_rng(0)
    images, labels = noisy_images(random, 40, SIZE)
    images[4:8] = 128 + (images[4:8] - 128.0) / 20  # nearly of a single color
    images[30] = 17
    errors = random.permutation(40) / 1000
    of = DatasetInfo(DATASET, NAMES if labeled else [])
    autoencoder = random_autoencoder(random, SIZE)
    test = LabeledImages(images, labels if labeled else None)
    figure = report.draw_examples(of, test, files, autoencoder, errors, 3)
    lost = [errors[i] / (images[i] / 255).var(axis=(0, 1)).mean() for i in range(40) if i != 30]
    order = np.delete(np.arange(40), 30)[np.argsort(lost)]
    assert errors[order[0]] > errors.min() or errors[order[-1]] < errors.max(), "another order than by the error"
    for axes, indices in zip(figure.axes, (order[:3], order[::-1][:3]), strict=True):
        captions = [label.get_text().split("\n") for label in axes.get_xticklabels()]
        for index, caption in zip(indices, captions, strict=True):
            share = errors[index] / (images[index] / 255).var(axis=(0, 1)).mean()
            name = [NAMES[labels[index]]] if labeled else [] if files else [f"#{index}"]
            assert caption == [*name, *([f"…ure_{index:04}.jpeg"] if files else []), f"{share:.0%}"]
    sheet = figure.axes[0].images[0].get_array()
    assert sheet is not None
    assert sheet.shape[-1] == CHANNELS
    np.testing.assert_allclose(sheet[:HEIGHT, :WIDTH], images[order[0]] / 255)
    assert DATASET in figure.get_suptitle()
    images[:] = 17
    assert "single color" in report.draw_examples(of, test, files, autoencoder, errors, 3).texts[0].get_text()


def test_the_confusion_matrix_has_percentages_of_the_actual_class() -> None:
    figure = report.draw_confusion(DatasetInfo(DATASET, NAMES), np.array([[19, 1, 0], [5, 5, 0], [0, 0, 0]]), LIGHT)
    assert [text.get_text() for text in figure.axes[0].texts] == ["95", "5", "50", "50"]
    assert DATASET in figure.get_suptitle()
    assert "80.0 %" in figure.axes[0].get_title()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", all_but([0, 1, 2, 300], [0, 1, 2, 40, 300]))
def test_any_number_of_classes(count: int, project: Path) -> None:
    evaluated(project, [f"class number {label}" for label in range(count)])
    report.main()
    with Image.open(report.FOLDER / "confusion.png") as picture:
        assert max(picture.size) < 4000


def test_of_fewer_images_than_examples_all_are_shown(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(project, test=3)
    capsys.readouterr()
    report.main()
    first, last = capsys.readouterr().out.splitlines()
    assert first == "report: shows all test images (3), fewer than report.examples (4)"
    assert last == "report: data/report/examples.png, confusion.png"
    assert (report.FOLDER / "examples.png").exists()
