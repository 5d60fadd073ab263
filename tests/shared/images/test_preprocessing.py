"""Preprocessing: files of every kind, read with the values that their owner would name, or refused by name."""

import base64
import json
import re
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from stages.shared.images.dataset import Range
from stages.shared.images.preprocessing import Preprocessing
from tests.project import ROOT
from tests.shared.images.test_folder import Folder

QUARTERS = np.array([[0, 1 / 4], [1 / 2, 1]]).repeat(8, 0).repeat(8, 1)  # four levels, [16, 16]
GRAY = (QUARTERS * 255).round().astype(np.uint8)
COLORS = np.array([[(230, 20, 20), (20, 200, 40)], [(30, 30, 220), (240, 230, 10)]], np.uint8).repeat(8, 0).repeat(8, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def read(path: Path, color: str = "rgb", side: int = 16, **changes: Any) -> NDArray[np.uint8]:
    form: dict[str, Any] = {"height": side, "width": side, "color": color, "fit": "stretch", "background": (255,) * 3}
    with warnings.catch_warnings(action="ignore"):  # Pillow's, as the stage has it
        pixels, _ = Preprocessing(**(form | changes)).read(path)
    return pixels[..., 0] if color == "gray" else pixels


def mean_difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The mean difference in gray levels."""
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


def test_the_former_spelling_of_gray_is_named(folder: Folder) -> None:
    folder.add("a.png")
    assert "download.color: expected 'gray', the new spelling, got 'grey'" in folder.refused(color="grey")


# The same pixels from any file


@cache
def photographs() -> dict[str, Image.Image]:
    """Photographs, and a drawing whose size no power of two divides."""
    pictures = {name: Image.fromarray(getattr(skimage.data, name)()) for name in ("astronaut", "chelsea", "coffee")}
    drawing = Image.new("RGB", (513, 257), "navy")
    brush = ImageDraw.Draw(drawing)
    for step in range(0, 600, 75):
        brush.line([step, 0, 600, 600 - step], fill="orange", width=12)
    brush.rectangle([480, 0, 513, 257], fill="white")
    return pictures | {"drawing": drawing, "odd": pictures["astronaut"].resize((333, 201))}


@pytest.mark.parametrize("side", [28, 100])
@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
def test_a_file_has_the_pixels_of_one_antialiased_resize(folder: Folder, fit: str, side: int) -> None:
    """Whatever its kind, and whatever quicker way there is: else a class could be told by its files."""
    found = []
    for name, picture in photographs().items():
        jpeg, png = (folder.pictures / f"{name}.{ending}" for ending in ("jpg", "png"))
        picture.save(jpeg, quality=92)
        with Image.open(jpeg) as decoded:
            decoded.save(png)
            w, h = decoded.size
            if fit == "crop":
                scale = side / min(w, h)
                left, top = (w - side / scale) / 2, (h - side / scale) / 2
                resized = decoded.resize((side, side), Image.Resampling.BILINEAR, (left, top, w - left, h - top))
            else:
                scale = side / max(w, h)
                inner = (round(w * scale), round(h * scale)) if fit == "pad" else (side, side)
                resized = Image.new("RGB", (side, side), "white")
                offset = ((side - inner[0]) // 2, (side - inner[1]) // 2)
                resized.paste(decoded.resize(inner, Image.Resampling.BILINEAR), offset)
        true = np.asarray(resized)
        of_jpeg, of_png = (read(path, side=side, fit=fit) for path in (jpeg, png))
        found.append((mean_difference(of_jpeg, true), mean_difference(of_png, true), mean_difference(of_jpeg, of_png)))
        assert max(found[-1]) < 1.5, name
    assert np.mean(found, axis=0).max() < 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_that_is_turned_has_the_same_pixels(folder: Folder, orientation: int) -> None:
    """Also where it is decoded at a fraction of its size, whose last column is then cut: 513 is 64 times 8, and 1."""
    seen = photographs()["drawing"]
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # of PIL.Image.Transpose, that undo it
    kept = seen.transpose(Image.Transpose(turns[orientation])) if orientation > 1 else seen
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = folder.pictures / "a.jpg"
    kept.save(path, quality=95, subsampling=0, exif=exif)
    assert mean_difference(read(path, side=32), np.asarray(seen.resize((32, 32), Image.Resampling.BILINEAR))) < 1.5


# What is black and what is white


def three(folder: Folder, values: NDArray[Any], ending: str = "tif") -> None:
    for letter in "abc":
        Image.fromarray(values).save(folder.pictures / f"{letter}.{ending}")


def spread(folder: Folder) -> Any:
    return json.loads((folder.out / "dataset.json").read_text())["range"]


@pytest.mark.parametrize(
    ("values", "ending", "words", "choice", "expected"),
    [
        ((QUARTERS * 4095).astype(np.uint16), "png", "16-bit gray pictures: values from 0 to 4095", [0, 4095], GRAY),
        ((QUARTERS * 16383).astype(np.uint16), "tif", "values from 0 to 16383", [0, 16383], GRAY),
        ((QUARTERS * 63).astype(np.uint8), "png", "8-bit gray pictures: values from 0 to 63", [0, 63], GRAY),
        ((QUARTERS * 255).astype(np.float32), "tif", "float gray pictures: values from 0 to 255", [0, 255], GRAY),
        ((QUARTERS - 0.5).astype(np.float32), "tif", "values from -0.5 to 0.5", [-0.5, 0.5], GRAY),
        ((QUARTERS * 1000 - 500).astype(np.int32), "tif", "values from -500 to 500", [-500, 500], GRAY),
    ],
)
def test_values_that_their_type_does_not_fit_are_asked_for(
    folder: Folder, values: NDArray[Any], ending: str, words: str, choice: list[float], expected: NDArray[Any]
) -> None:
    three(folder, values, ending)
    message = folder.refused(color="gray")
    assert "params.yaml: download.range" in message
    assert words in message
    assert f"range: [{choice[0]}, {choice[1]}]" in message
    for asked in (choice, "data"):
        folder.download(color="gray", height=16, width=16, range=asked)
        assert spread(folder) == choice
        for image in [*folder.images("train"), *folder.images("test")]:
            assert np.abs(image[..., 0].astype(int) - expected).max() <= 5
    folder.download(color="gray", range="dtype")


def test_what_the_type_says_is_not_asked_for(folder: Folder) -> None:
    """Dark colors are nothing odd; one light picture of all, in either part, tells that the type is meant."""
    dark = Image.new("L", (8, 8), 9)
    for name in ("train/a.png", "train/b.png", "test/a.png"):
        (folder.pictures / name).parent.mkdir(exist_ok=True)
        dark.save(folder.pictures / name)
    assert "8-bit gray pictures: values from 9 to 9" in folder.refused(color="gray")
    Image.new("L", (8, 8), 64).save(folder.pictures / "test/b.png")
    folder.download(color="gray")
    assert (folder.images() == 9).all()
    (folder.pictures / "test/b.png").unlink()
    for path in folder.pictures.rglob("*.png"):
        dark.convert("RGB").save(path)
    folder.download()
    assert (folder.images() == 9).all()
    assert spread(folder) == [0, 255]


def test_of_kinds_together_no_pair_is_offered(folder: Folder) -> None:
    three(folder, (QUARTERS * 4095).astype(np.uint16), "png")
    folder.add("d.jpg")
    message = folder.refused()
    assert "no single range fits " in message
    assert "range: dtype" in message
    assert "range: [" not in message


def test_colors_of_16_bits_are_asked_for(folder: Folder) -> None:
    for letter in "abc":
        tifffile.imwrite(folder.pictures / f"{letter}.tif", COLORS.astype(np.uint16) * 16, photometric="rgb")
    assert "16-bit color pictures: values from 160 to 3840" in folder.refused()
    folder.download(range=[0, 4080], height=16, width=16)
    assert (folder.images("test")[0] == COLORS).all()


def test_gray_jpegs_are_asked_for_by_their_own_values(folder: Folder) -> None:
    """Of a picture that is reduced, a light point is gone."""
    values = np.zeros((256, 256), np.uint8)
    values[100:104, 100:104] = 255
    for letter in "abc":
        Image.fromarray(values).save(folder.pictures / f"{letter}.jpg", quality=100)
    folder.download(color="gray")
    assert folder.images().max() < 64


def test_values_beyond_the_range_become_black_or_white_and_are_said(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    three(folder, (QUARTERS * 4095).astype(np.uint16))
    folder.download(range=[1023, 2047], color="gray", height=16, width=16)
    assert "3 pictures with values outside the range" in capsys.readouterr().out
    assert np.unique(folder.images()).tolist() == [0, 255]


def test_kinds_of_other_ranges_in_one_folder(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """Each by its type, with a count of each kind; no pair can hold for both."""
    for index in range(4):
        Image.fromarray(GRAY).save(folder.pictures / f"{index}.png")
        Image.fromarray((QUARTERS * 65535).astype(np.uint16)).save(folder.pictures / f"{index}.tif")
    for asked in ([0, 4095], "data"):
        assert "no single range fits 4 " in folder.refused(range=asked)
    folder.download(color="gray", height=16, width=16)
    assert all(np.abs(image[..., 0].astype(int) - GRAY).max() <= 1 for image in folder.images())
    out = capsys.readouterr().out
    assert "4 16-bit gray and 4 8-bit gray pictures" in out
    assert spread(folder) is None
    Image.fromarray(GRAY).convert("P").save(folder.pictures / "palette.png")
    folder.download(color="gray", height=16, width=16)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "each scaled" in line]
    assert "4 16-bit gray, 4 8-bit gray and 1 palette pictures" in line, "the numbers add up to all pictures"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ([5, 5], "expected [black, white] with white larger than black, got [5, 5]"),
        ("type", "download.range"),
        ([1], "range"),
    ],
)
def test_a_range_that_is_none(folder: Folder, asked: Any, words: str) -> None:
    folder.add("a.png")
    assert words in folder.refused(range=asked)


def test_the_range_of_a_known_data_set(folder: Folder) -> None:
    folder.download(source=str(ROOT / "data/digits.yaml"))
    whole = folder.images()
    folder.download(source=str(ROOT / "data/digits.yaml"), range=[0, 128])
    assert np.array_equal(folder.images(), np.minimum(np.rint(whole * (255 / 128)), 255))
    folder.download(source=str(ROOT / "data/digits.yaml"), range="data")
    assert spread(folder) == [0, 255]


# TIFF, by its own tags


def tiff(bits: int, rows: bytes, photometric: int, size: int, order: str = "<", compression: int = 1) -> bytes:
    """A gray TIFF of one strip, byte by byte."""
    tags = {256: size, 257: size, 258: bits, 259: compression, 262: photometric, 273: 134, 277: 1, 278: size}
    tags |= {279: len(rows), 339: 3 if bits == 32 else 1}
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    return head + entries + bytes(4) + rows


def packed(values: NDArray[np.int_], bits: int) -> bytes:
    """Values of so many bits each, rows from a byte of their own, the high bit first."""
    digits = (values[..., np.newaxis] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(digits.reshape(len(values), -1).astype(np.uint8), axis=1).tobytes()


def as_lzw(data: bytes) -> bytes:
    """LZW that never uses its table: each byte a code of 9 bits, the table cleared before codes grow."""
    codes = [code for start in range(0, len(data), 200) for code in (256, *data[start : start + 200])] + [257]
    return packed(np.array([codes]), 9)


@pytest.mark.parametrize("bits", [2, 4, 10, 12, 14])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("order", "<>")
def test_packed_bits_have_the_range_that_the_file_says(folder: Folder, bits: int, photometric: int, order: str) -> None:
    """15 values a row, so that rows end within a byte."""
    most = 2**bits - 1
    values = np.rint(QUARTERS[1:, 1:] * most).astype(int)
    path = folder.pictures / "a.tif"
    stored = values if photometric else most - values
    for compression, pack in ((1, bytes), (8, zlib.compress)):
        path.write_bytes(tiff(bits, pack(packed(stored, bits)), photometric, 15, order, compression))
        assert np.abs(read(path, "gray", 15) - values * (255 / most)).max() <= 1


TYPES = ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64"]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize(("order", "big"), [("<", False), (">", True)])
def test_every_type_in_every_order_of_bytes(
    folder: Folder, dtype: str, photometric: str, order: Any, big: bool
) -> None:
    most = 1.0 if dtype.startswith("f") else float(np.iinfo(dtype).max)
    stored = QUARTERS * most if photometric == "minisblack" else most - QUARTERS * most
    stored = stored if dtype.startswith("f") else np.rint(stored)
    path = folder.pictures / "a.tif"
    with tifffile.TiffWriter(path, byteorder=order, bigtiff=big) as file:
        file.write(stored.astype(dtype), photometric=photometric)
    assert np.abs(read(path, "gray") - QUARTERS * 255).max() <= 2


@pytest.mark.parametrize("order", "<>")
def test_compressed_floats_in_either_order_of_bytes(folder: Folder, order: str) -> None:
    path = folder.pictures / "a.tif"
    data = QUARTERS.astype(np.dtype(f"{order}f4")).tobytes()
    path.write_bytes(tiff(32, as_lzw(data), 1, 16, order, 5))
    assert np.abs(read(path, "gray") - QUARTERS * 255).max() <= 1


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("order", "<>")
def test_colors_of_any_layout(folder: Folder, planar: Any, dtype: str, order: Any) -> None:
    colors = COLORS.astype(dtype) * (257 if dtype == "uint16" else 1)
    colors = np.moveaxis(colors, -1, 0) if planar == "separate" else colors
    path = folder.pictures / "a.tif"
    tifffile.imwrite(path, colors, photometric="rgb", planarconfig=planar, byteorder=order)
    assert (read(path) == COLORS).all()


INFRARED = np.linspace(10, 240, 256).reshape(16, 16, 1).astype(np.uint8)
SEEN = np.where(np.arange(16)[:, np.newaxis, np.newaxis] < 8, 0, 255).repeat(16, 1).astype(np.uint8)


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_an_alpha_that_is_opaque_nowhere_is_none(
    folder: Folder, kind: str, dtype: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A band of infrared, marked so; with a real alpha the background shows."""
    scale = 257 if dtype == "uint16" else 1
    for name, band, expected in (("a", INFRARED, COLORS), ("b", SEEN, np.where(SEEN, COLORS, 255))):
        colors = COLORS * (SEEN > 0) if name == "b" and kind == "assocalpha" else COLORS
        bands = np.concatenate([colors, band], 2).astype(dtype) * scale
        path = folder.pictures / f"{name}.tif"
        tifffile.imwrite(path, bands, photometric="rgb", extrasamples=[kind])
        assert (read(path) == expected).all()
    folder.download(test_share=0.5)
    assert "1 picture with an alpha band without any opaque pixel" in capsys.readouterr().out


def test_an_alpha_in_another_compression(folder: Folder) -> None:
    path = folder.pictures / "a.tif"
    Image.fromarray(np.concatenate([COLORS, INFRARED], 2)).save(path, compression="tiff_lzw")
    assert (read(path) == COLORS).all()
    Image.fromarray(np.concatenate([COLORS, SEEN], 2)).save(path, compression="tiff_lzw")
    assert (read(path) == np.where(SEEN, COLORS, 255)).all()


def test_an_alpha_of_a_png_is_one(folder: Folder) -> None:
    path = folder.add("a.png", (255, 0, 0, 51), "RGBA")
    assert read(path)[0, 0].tolist() == [255, 204, 204]


@pytest.mark.parametrize(
    ("bands", "more", "words"),
    [
        (4, {"photometric": "minisblack", "planarconfig": "contig"}, "4 bands, but no tag says which are red"),
        (2, {"photometric": "minisblack", "planarconfig": "contig"}, "2 bands, but no tag says which are red"),
        (1, {"photometric": "cfa"}, "CFA"),
        (3, {"photometric": "cielab"}, "CIELAB"),
    ],
)
def test_bands_whose_meaning_is_not_known_are_refused(
    folder: Folder, bands: int, more: dict[str, Any], words: str
) -> None:
    values = np.zeros((8, 8, bands), np.uint16)
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(folder.pictures / name, values[..., 0] if bands == 1 else values, **more)
    assert words in folder.refused()


@pytest.mark.parametrize(
    ("tag", "field", "reason"),
    [
        (256, 8, "is a TIFF without pixels"),  # of width 0
        (257, 4, "is a damaged TIFF"),
        (258, 4, "is a damaged TIFF"),
        (259, 8, "0 is not a known COMPRESSION"),
        (273, 4, "missing data offset"),
        (277, 4, "is a damaged TIFF"),
        (339, 8, "in a sample format that is not supported"),
    ],
)
def test_a_tiff_with_a_senseless_tag_is_refused(folder: Folder, tag: int, field: int, reason: str) -> None:
    """The tag's count, 4 bytes behind its start, or its value, 8 bytes, is 0."""
    data = bytearray(tiff(16, packed(np.rint(QUARTERS * 65535).astype(int), 16), 1, 16, ">"))
    start = data.index(struct.pack(">HH", tag, 4)) + field
    data[start : start + 4] = bytes(4)
    (folder.pictures / "a.tif").write_bytes(data)
    folder.add("b.png")
    assert re.search(f"a.tif: .*{reason}", folder.refused())


@pytest.mark.parametrize(
    ("size", "reason"), [(8, "damaged"), (20, "corrupted"), (134, "failed to read"), (645, "failed")]
)
def test_a_tiff_that_is_cut_off_is_refused(folder: Folder, size: int, reason: str) -> None:
    data = tiff(16, packed(np.rint(QUARTERS * 65535).astype(int), 16), 1, 16, ">")
    (folder.pictures / "a.tif").write_bytes(data[:size])
    folder.add("b.png")
    assert re.search(f"a.tif: .*{reason}", folder.refused())


def test_sizes_far_beyond_the_file_are_refused_before_any_work(folder: Folder) -> None:
    (folder.pictures / "a.tif").write_bytes(tiff(16, bytes(512), 1, 12_000))
    (folder.pictures / "b.fits").write_bytes(fits(QUARTERS.astype(">f8"), -64, NAXIS1=10**6))
    (folder.pictures / "c.fits").write_bytes(fits(QUARTERS.astype(">f8"), -64, TFIELDS=1, PCOUNT=-2880))
    message = folder.refused()
    assert "a.tif: is a truncated TIFF" in message
    assert "b.fits: is a truncated FITS file" in message
    assert "c.fits: is damaged FITS" in message


def test_values_that_are_no_numbers_are_refused(folder: Folder) -> None:
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(folder.pictures / name, np.full((8, 8), np.nan, np.float32))
    assert "has NaN or infinite values" in folder.refused()


def test_lab(folder: Folder) -> None:
    Image.new("LAB", (8, 8), (136, 128, 128)).save(folder.pictures / "a.tif")
    assert np.abs(read(folder.pictures / "a.tif", "gray", 8).astype(int) - 127).max() <= 3


def test_a_tiff_that_is_turned(folder: Folder) -> None:
    """By tifffile, by Pillow, and by neither twice."""
    kept = np.rint(np.rot90(QUARTERS) * 65535).astype(np.uint16)
    path = folder.pictures / "a.tif"
    tifffile.imwrite(path, kept, extratags=[(274, 3, 1, 6, True)])
    assert np.abs(read(path, "gray") - QUARTERS * 255).max() <= 1
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(kept).save(path, compression="tiff_lzw", exif=exif)
    assert np.abs(read(path, "gray") - QUARTERS * 255).max() <= 1


def test_the_first_page_that_is_no_smaller_copy(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder.pictures / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(np.zeros((4, 4), np.uint8), subfiletype=1, photometric="minisblack")
        file.write(GRAY, photometric="minisblack")
        file.write(np.zeros((8, 8), np.uint8), subfiletype=1, photometric="minisblack")
    assert (read(path, "gray") == GRAY).all()
    with tifffile.TiffWriter(folder.pictures / "b.tif") as file:
        for values in (GRAY, 255 - GRAY):
            file.write(values, photometric="minisblack")
    assert (read(folder.pictures / "b.tif", "gray") == GRAY).all()
    folder.download(test_share=0.5)
    out = capsys.readouterr().out
    assert "more than one page or frame: the first is used (b.tif)" in out
    assert "1 picture behind a smaller copy or a mask in a TIFF: that is skipped (a.tif)" in out


# PNG, PGM, FITS and the rest


def png(values: NDArray[Any], bits: int, kind: int, transparent: Sequence[int] = ()) -> bytes:
    """A PNG, byte by byte: [height, width] or [height, width, bands]."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = values.shape[:2]
    rows = values.reshape(height, -1)
    lines = [row.astype(">u2").tobytes() if bits == 16 else packed(row[np.newaxis], bits) for row in rows]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    clear = chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)) if transparent else b""
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines)))
    return b"\x89PNG\r\n\x1a\n" + header + clear + data + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("share", [None, 0, 1])
def test_png_of_all_bits_and_its_transparent_value(folder: Folder, bits: int, share: int | None) -> None:
    most = 2**bits - 1
    values = np.rint(QUARTERS * most).astype(int)
    path = folder.pictures / "a.png"
    path.write_bytes(png(values, bits, 0, [] if share is None else [share * most]))
    expected = np.where(values == (-1 if share is None else share * most), 170, values * (255 / most))
    assert np.abs(read(path, "gray", background=(170, 170, 170)) - expected).max() <= 1


def test_png_of_16_bits_in_color_and_with_alpha(folder: Folder) -> None:
    path, colors, alpha = folder.pictures / "a.png", COLORS.astype(int) * 257, SEEN.astype(int) * 257
    path.write_bytes(png(colors, 16, 2))
    assert (read(path) == COLORS).all()
    path.write_bytes(png(colors, 16, 2, colors[0, 0].tolist()))
    assert (read(path) == np.where((COLORS[0, 0] == COLORS).all(2)[..., np.newaxis], 255, COLORS)).all()
    path.write_bytes(png(np.concatenate([colors, alpha], 2), 16, 6))
    assert (read(path) == np.where(SEEN, COLORS, 255)).all()
    values = np.rint(QUARTERS * 65535).astype(int)
    path.write_bytes(png(np.concatenate([values[..., np.newaxis], alpha], 2), 16, 4))
    assert np.abs(read(path, "gray") - np.where(SEEN[..., 0], QUARTERS * 255, 255)).max() <= 1
    # 12 bits in 16, each of the 4096 values kept apart
    path.write_bytes(png(colors // 16, 16, 2))
    assert np.abs(read(path, range=Range(0, 4095)).astype(int) - COLORS).max() <= 1


@pytest.mark.parametrize("most", [1, 100, 255, 4095, 65535])
def test_pgm_and_ppm_have_the_range_that_they_say(folder: Folder, most: int) -> None:
    values = np.rint(QUARTERS * most).astype(int)
    colors = np.rint(COLORS * (most / 255)).astype(int)
    for name, pixels, color in (("a.pgm", values, "gray"), ("a.ppm", colors, "rgb")):
        path, kind = folder.pictures / name, 5 if color == "gray" else 6
        head = f"P{kind}\n16 16\n{most}\n".encode()
        path.write_bytes(head + pixels.astype(">u2" if most > 255 else "u1").tobytes())
        assert np.abs(read(path, color) - pixels * (255 / most)).max() <= 1
        path.write_text(f"P{kind - 3}\n# plain\n16 16\n{most}\n" + " ".join(map(str, pixels.ravel())))
        assert np.abs(read(path, color) - pixels * (255 / most)).max() <= 1


def fits(values: NDArray[Any], bits: int, **cards: object) -> bytes:
    """An image of FITS, byte by byte; its bottom row comes first."""
    sides = {f"NAXIS{axis}": side for axis, side in enumerate(values.shape[::-1], 1)}
    header = {"SIMPLE": "T", "BITPIX": bits, "NAXIS": values.ndim} | sides | cards
    text = "".join(f"{key:8}= {value!s:>20} / a comment".ljust(80) for key, value in header.items()) + "END".ljust(80)
    data = values.tobytes()
    return text.ljust(-(-len(text) // 2880) * 2880).encode() + data.ljust(-(-len(data) // 2880) * 2880, b"\0")


def test_fits_with_its_scale_and_zero(folder: Folder) -> None:
    upside_down = QUARTERS[::-1]
    files = {
        "unsigned": fits((np.rint(upside_down * 65535) - 32768).astype(">i2"), 16, BZERO=32768, BSCALE=1),
        "scaled": fits((np.rint(upside_down * 1000) - 500).astype(">i2"), 16, BZERO="5.0D-1", BSCALE=0.001),
        "signed": fits(np.rint(upside_down * 32767).astype(">i2"), 16),
        "floats": fits(upside_down.astype(">f8"), -64),
        "planes": fits(np.stack([upside_down, upside_down * 0]).astype(">f4"), -32),
    }
    for name, data in files.items():
        path = folder.pictures / f"{name}.fits"
        path.write_bytes(data)
        assert np.abs(read(path, "gray") - QUARTERS * 255).max() <= 1, name
    (folder.pictures / "cut.fits").write_bytes(files["floats"][:-2000])
    assert "cut.fits: is a truncated FITS file" in folder.refused()


def test_frames_are_counted_and_the_first_is_taken(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [Image.fromarray(COLORS), Image.fromarray(255 - COLORS)]
    for name in ("a.gif", "b.png", "c.webp", "d.MPO", "e.tif"):
        first, second = (frame.copy() for frame in frames)
        first.save(folder.pictures / name, save_all=True, append_images=[second])
    folder.download(height=16, width=16)
    assert "5 pictures with more than one page or frame: the first is used" in capsys.readouterr().out
    for image in [*folder.images("train"), *folder.images("test")]:
        assert mean_difference(image, COLORS) < 20


def test_blank_pictures_and_thin_ones_are_counted(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    icon = Image.new("RGBA", (16, 16))
    icon.paste((255, 255, 255, 255), (4, 4, 12, 12))
    for letter in "abc":
        icon.save(folder.pictures / f"{letter}.png")
    folder.add("d.png", size=(300, 12))
    folder.download(test_share=0.3)
    out = capsys.readouterr().out
    assert (
        "4 pictures of a single color; if it is a drawing on a transparent background, set another download.background"
        in out
    )
    assert "1 picture covering less than a quarter of the image; download.fit: crop or stretch fills it (d.png)" in out
    folder.download(test_share=0.3, fit="crop", background="black")
    out = capsys.readouterr().out
    assert "quarter" not in out
    assert "(d.png)" in out


# What is no picture, or takes another package


HEIC = {
    "gray": (
        "0000SW^{RQXk}@500000ZE0pPXk}@5ZE0a<0003`ZDn*}000000000XXk=`10000000000aA{+700000000000000000000B57=I"
        "V*mgE07O6l0RRC200001a{vJV00000001EX001LtX>Mi!000000RR916=`l}WdZ;I000310BCk&F#rGn01j|zbZr0t000010002b"
        "X>f9I00026X>en20001UXm(>m0R#vD005o%000009`FGC{QCL;01pFT0096OKmiN^|NjIC00093o%jF%0{{RXx&lC90096eLID8;"
        "2mk;B0G;>%00RI39>9VG6J@%RN^6?}00093G5`Pr00IzV00968L;=Baup&SJ000wXZ)|dIV{CW;0RRmE27mwn02FC+aAg1h00000"
        "06+i$06+i$01j|zcxeCt0003B0000NX>e^}0000000001009Jn0s{m9001d%WMOmw0012*0j?9kJBeBU|MC5*<n#A*`G^1X%E(Or"
        "|4c{t"
    ),
    "turned": (
        "0000SW^{RQXk}@500000ZE0pPXk}@5ZE0a<0004&ZDn*}000000000XXk=`10000000000aA{+700000000000000000000G-+&a"
        "V*mgE07O6l0ssL300001x&Q$H000000024w0ssI200Hy>0RR9100000Bme*aIB98aW&i*H00062000$fZf0cy000000RRAKc4ILB"
        "0000LX>Mj^0ssI300IC2MR;ju000004sdC7Z2$lO00031007l#aB^?}006dWaAR)(004Jrc4I>U1PA~C0G>Di0000U@BsY(`1k+-"
        "4+CHT0RR_30Sp2E{{#pC00RJ?H~;_x0017k0zhE^0RSpO0RaRE00093o;Uyi0{{RXkOUAQvfW7~HO;_7L4g1O0{|HS00RI42x0&M"
        "00=|@!E%NS0we$c025<xY;ta6Y<K_x01W^JfB*mh6lrsCWdHyG00000KmY&$KmY&$5O8UDX#fBK00RgJ2mk;87in;9VE_OC00000"
        "0RRC6fdT^r0000QX>w&|000000000EV`Ot<00IC3009610A_7uVRQfh05&KAuM>dgvxQzi{?J`t`+x!}|N9qWf8l0Ue#OnOfB$g2"
        "1EH>8@sN}>Pyc6Xsrr_Ef2#k$00006MR;ju002!*04e|g00;m90TKWM0000100sa600000"
    ),
}


def test_heic_is_read_where_a_package_reads_it(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """One has 10 bits, 64 x 64; one is turned by its EXIF alone. Both were written by pillow-heif 1.8.1."""
    for name, data in HEIC.items():
        (folder.pictures / f"{name}.heic").write_bytes(base64.b85decode(data))
    assert mean_difference(read(folder.pictures / "gray.heic", "gray"), GRAY) < 5
    assert mean_difference(read(folder.pictures / "turned.heic"), COLORS) < 6
    folder.download(test_share=0.5)
    assert "1 picture in HEIC rotated only by EXIF" in capsys.readouterr().out


def test_jpeg_xl_is_read_where_a_package_reads_it(folder: Folder) -> None:
    """Lossless, written by pillow-jxl-plugin 1.3.8."""
    pytest.importorskip("pillow_jxl")
    path = folder.pictures / "a.jxl"
    path.write_bytes(base64.b85decode("{|ZAuBnSWj0F(er7?X~Jg$V$G<9WG25CG)wIOyQF@{b8Pa6z+QRUFcj2MA*U"))
    assert mean_difference(read(path), COLORS) == 0


def test_heic_and_jpeg_xl_are_refused_by_name_without(folder: Folder) -> None:
    """Whatever their endings."""
    heic = base64.b85decode(HEIC["gray"])
    for name, data in {"a.heic": heic, "b.jpg": heic, "c.jxl": b"\xff\x0a" + bytes(30)}.items():
        (folder.pictures / name).write_bytes(data)
    code = (
        "import sys; sys.modules['pi_heif'] = sys.modules['pillow_heif'] = sys.modules['pillow_jxl'] = None\n"
        "from pathlib import Path; from stages.shared.images.decoding import decode\n"
        "for name in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try: decode(name)\n"
        "    except ValueError as error: print(name.name, error)"
    )
    command = [sys.executable, "-c", code, str(folder.pictures)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.splitlines()
    assert [line.split(";")[0] for line in lines] == ["a.heic is HEIC", "b.jpg is HEIC", "c.jxl is JPEG XL"]
    assert all("pi-heif or pillow-heif" in line and "make heic" in line for line in lines[:2])
    assert "pillow-jxl-plugin" in lines[2]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<!DOCTYPE html><html>", "is an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        (bytes(128) + b"DICM" + bytes(9), "is DICOM"),
        (b"%PDF-1.7", "is PDF"),
        (b"PK\3\4" + bytes(9), "is a zip archive"),
        (b"\0\0\0\x20ftypmp42" + bytes(9), "is a video"),
        (b"a,b\n1,2\n", "is text"),
        (b"", "is empty"),
        (bytes(99), "has only zeros"),
    ],
)
def test_what_is_no_picture_is_named(folder: Folder, data: bytes, kind: str) -> None:
    (folder.pictures / "a.jpg").write_bytes(data)
    folder.add("b.png")
    assert f"a.jpg: {kind}" in folder.refused()


def test_files_that_are_passed_over_are_counted_by_ending(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(5):
        folder.add(f"{index}.png")
    for name in ("a.dcm", "b.DCM", "notes.txt", "LICENSE"):
        (folder.pictures / name).write_text("no picture")
    folder.download()
    out = capsys.readouterr().out
    assert "4 files without a picture's ending were skipped: 2 .dcm, 1 " in out
