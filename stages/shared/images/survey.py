"""Survey of a set of pictures: kinds, ranges of values, and notes for the user."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from stages.shared.images.dataset import Range
from stages.shared.images.folder import show_name
from stages.shared.runtime.errors import InputError

FEW = 1 / 4  # share of the type's range: a kind that uses no more is implausible

# Printed after a number of pictures
NOTES = {
    "pages": "with more than one page or frame: the first is used",
    "thumbnail": "behind a smaller copy or a mask in a TIFF: that is skipped",
    "copy": "marked as a smaller copy in a TIFF without the original: used anyway",
    "bands": "with more bands than colors and alpha: the others are left out",
    "alpha": "with an alpha band without any opaque pixel: it is left out, because it may be infrared",
    "turned": "in HEIC rotated only by EXIF: rotated here, unlike in some programs",
    "outside": "with values outside the range: they become black or white",
    "one color": "of a single color; if it is a drawing on a transparent background, set another download.background",
    "small": "covering less than a quarter of the image; download.fit: crop or stretch fills it",
}


class Facts(NamedTuple):
    """Facts about a picture: kind and white as in `picture.Picture`, smallest and largest value, and notes."""

    kind: str
    white: float | None
    least: float
    largest: float
    notes: Sequence[str]


@dataclass
class ValueKind:
    """One kind of pictures, such as "16-bit gray": their number, and their smallest and largest value."""

    name: str
    white: float | None
    count: int = 0
    least: float = math.inf
    largest: float = -math.inf

    @property
    def doubtful(self) -> bool:
        """Whether the values don't suit the pixel type: they are outside its range, or use only a small part of it."""
        if self.white is None or self.name == "8-bit color":
            return False
        return self.least < 0 or self.largest > self.white or 0 < self.largest <= self.white * FEW

    def __str__(self) -> str:
        return f"{self.count} {self.name}"


@dataclass
class Survey:
    """Kinds of pictures by name; and notes, each with the number of pictures it is about and the first of them."""

    kinds: dict[str, ValueKind] = field(default_factory=dict)
    notes: dict[str, tuple[int, Path]] = field(default_factory=dict)

    def add(self, path: Path, facts: Facts) -> None:
        """Add the facts about one picture."""
        kind = self.kinds.get(facts.kind) or self.kinds.setdefault(facts.kind, ValueKind(facts.kind, facts.white))
        kind.count += 1
        kind.least, kind.largest = min(kind.least, facts.least), max(kind.largest, facts.largest)
        for note in dict.fromkeys(facts.notes):
            count, first = self.notes.get(note, (0, path))
            self.notes[note] = count + 1, first

    def merge(self, other: "Survey") -> None:
        """Add the pictures of another survey."""
        for kind in other.kinds.values():
            mine = self.kinds.setdefault(kind.name, ValueKind(kind.name, kind.white))
            mine.count += kind.count
            mine.least, mine.largest = min(mine.least, kind.least), max(mine.largest, kind.largest)
        for note, (count, path) in other.notes.items():
            before, first = self.notes.get(note, (0, path))
            self.notes[note] = before + count, first

    @property
    def measured(self) -> list[ValueKind]:
        """The kinds whose type has a value of white."""
        return [kind for kind in self.kinds.values() if kind.white is not None]

    @property
    def whites(self) -> set[float]:
        """The values of white of all pixel types; if there is more than one, no single range fits all pictures."""
        return {kind.white for kind in self.measured if kind.white is not None}

    @property
    def doubtful(self) -> list[ValueKind]:
        """The kinds of pictures whose values don't suit the pixel type."""
        return [kind for kind in self.measured if kind.doubtful]

    def by_type(self) -> Range | None:
        """The range of the pixel type; None if the pictures have different types."""
        if len(self.whites) > 1:
            return None
        white = next(iter(self.whites), 255.0)
        return Range(0, white, white)

    def by_data(self) -> Range:
        """The range from the smallest to the largest value of all pictures.

        Raises `InputError` if the pictures differ in kind, or if all values are equal.
        """
        self.require_one("data")
        if not self.measured:
            return Range(0, 255, 255)
        least, largest = (pick(values) for pick, values in ((min, self._all("least")), (max, self._all("largest"))))
        if least == largest:
            raise InputError(
                f"params.yaml: download.range: data: all values are {show(least)}, so there is no range; leave it empty"
            )
        return Range(least, largest, next(iter(self.whites)))

    def _all(self, name: Literal["least", "largest"]) -> Iterable[float]:
        return (getattr(kind, name) for kind in self.measured)

    def require_one(self, asked: str) -> None:
        """Raise `InputError` if the kinds have different types, so that no single range fits all pictures.

        asked: the value of `download.range`, for the message.
        """
        if len(self.whites) > 1:
            raise InputError(
                f"params.yaml: download.range: no single range fits {listed(self.measured)} pictures, got {asked}; "
                "convert them to one kind, or set it to dtype to scale each by its type"
            )

    def question(self) -> InputError:
        """Make an error that asks for `download.range`: it lists the values found, and lines for params.yaml."""
        lines = [
            f"  {kind} pictures: values from {show(kind.least)} to {show(kind.largest)}; the range of their type is 0 "
            f"to {show(kind.white or 0)}"
            for kind in self.doubtful
        ]
        choices = [("dtype", "the bounds of the type; values outside become black or white")]
        if len(self.whites) == 1:
            data = Range(min(self._all("least")), max(self._all("largest")))
            likely = _likely(data)
            choices.insert(0, ("data", f"{between(data)}, the smallest and the largest value of all pictures"))
            choices.insert(0, (f"[{show(likely.black)}, {show(likely.white)}]", "or two other numbers"))
        else:
            lines.append(
                f"  no single range fits {listed(self.measured)} pictures: convert them to one kind for another choice"
            )
        width = max(len(choice) for choice, _ in choices)
        return InputError(
            "\n".join(
                [
                    "params.yaml: download.range: which values are black and white? With the range of their type, "
                    "these pictures would be nearly black, or values outside of this range would be clipped:",
                    *lines,
                    "write one of",
                    *(f"  range: {choice:{width}}  # {what}" for choice, what in choices),
                ]
            )
        )

    def lines(self) -> list[str]:
        """The notes as lines to print."""
        lines = []
        if len(self.whites) > 1:
            kinds = sorted(self.kinds.values(), key=lambda kind: (-kind.count, kind.name))
            lines.append(f"{listed(kinds)} pictures, each scaled by the range of its type (download.range)")
        lines += [
            f"{count} picture{'s' * (count > 1)} {NOTES[note]} ({show_name(first.name)}{', …' * (count > 1)})"
            for note, (count, first) in self.notes.items()
        ]
        return lines


def _likely(data: Range) -> Range:
    """Guess the range of integer values: from 0 to the largest number with as many bits as the data needs."""
    if data.black < 0:
        return data
    return Range(0, 1.0 if data.white <= 1 else 2.0 ** math.ceil(math.log2(data.white + 1)) - 1)


def listed(parts: Sequence[object]) -> str:
    """Join parts as `a, b and c`."""
    *before, last = map(str, parts)
    return f"{', '.join(before)} and {last}" if before else last


def between(spread: Range) -> str:
    """Format a range as text."""
    return f"{show(spread.black)} to {show(spread.white)}"


def show(value: float) -> str:
    """Format a number with few digits."""
    return str(int(value)) if float(value).is_integer() else f"{value:.6g}"
