"""AUVector: the intensities of Action Units on N faces, left and right apart where asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .notation import format_notation, parse_notation, split_code
from .units import SET_A, scorable

SCHEMA = 1  # of `AUVector.to_json`


@dataclass(frozen=True, eq=False)
class AUVector:
    """Intensities of K Action Units on N faces or frames.

    units: AU numbers, each once. values: float32 [N, K], any finite number; FACS's own range is
    0..5. left, right: float32 [N, K] for the subject's sides, given together or not at all;
    `values` then is their mean. ValueError for a wrong shape, NaN or infinity, an unknown or
    repeated unit.
    """

    units: tuple[int, ...]
    values: Tensor
    left: Tensor | None = None
    right: Tensor | None = None

    def __post_init__(self) -> None:
        units = tuple(scorable(int(number)) for number in self.units)
        if not units or len(set(units)) != len(units):
            raise ValueError(f"An AUVector needs one or more different Action Units, not {units}")
        if (self.left is None) != (self.right is None):
            raise ValueError("left and right must be given together; one of them is missing")
        object.__setattr__(self, "units", units)
        if self.left is not None:
            object.__setattr__(self, "left", _checked(self.left, units, "left"))
            object.__setattr__(self, "right", _checked(self.right, units, "right"))
            if self.left.shape != self.right.shape:
                raise ValueError(
                    f"left has {len(self.left)} faces and right {len(self.right)}; they must agree"
                )
            object.__setattr__(self, "values", 0.5 * self.left + 0.5 * self.right)
        else:
            object.__setattr__(self, "values", _checked(self.values, units, "values"))

    # Making one

    @classmethod
    def zeros(cls, units: Sequence[int] = SET_A, faces: int = 1) -> AUVector:
        """The neutral face, `faces` times."""
        return cls(tuple(units), torch.zeros(faces, len(units)))

    @classmethod
    def from_dict(
        cls, values: Mapping[str | int, float], units: Sequence[int] | None = None
    ) -> AUVector:
        """One face from {12: 3.0, "L4": 2}. A side not named is 0. `units` defaults to those named,
        ascending (set A where none is); naming a unit outside `units` is a ValueError."""
        given = _read_codes(values)
        named = sorted({number for _, number in given})
        units = tuple(units) if units is not None else tuple(named) or SET_A
        if outside := [number for number in named if number not in units]:
            raise ValueError(f"{_list(outside)} not among the units in use, {_list(units)}")
        left, right = (
            torch.tensor([[given.get((side, n), given.get(("", n), 0.0)) for n in units]])
            for side in "LR"
        )
        return cls(units, left, left, right) if any(side for side, _ in given) else cls(units, left)

    @classmethod
    def parse(cls, text: str, units: Sequence[int] | None = None) -> AUVector:
        """One face from FACS notation such as "6C+12D"; see `facs.notation` for the grammar."""
        return cls.from_dict(parse_notation(text), units)

    @classmethod
    def from_text(cls, text: str) -> AUVector:
        """One face from English such as "slightly doubtful, lips parted", from a text that
        `describe` wrote, or from notation; `facs.understand` also gives an account of it."""
        from .understanding import understand  # which needs this class

        return understand(text).vector

    @classmethod
    def from_json(cls, data: str | Mapping) -> AUVector:
        """Read what `to_json` wrote. A plain object of codes, {"12": 3}, is one face."""
        data = read_object(data, "the AU vector", SCHEMA)
        if "units" not in data:
            return cls.from_dict(data)
        if not (_is_list(data["units"], int) and _is_list(data.get("faces"), dict)):
            raise ValueError(
                'An AU vector in JSON has "units", a list of AU numbers, and "faces", a list of '
                'objects such as {"12": 3.0, "L4": 2.0}; one of them is missing or something else'
            )
        units = tuple(data["units"])
        faces = [cls.from_dict(face, units) for face in data["faces"]]
        vector = cls.stack(faces) if faces else cls.zeros(units, 0)
        return vector._sided() if data.get("sides") else vector

    @classmethod
    def stack(cls, vectors: Sequence[AUVector]) -> AUVector:
        """All faces of all vectors in order, over the union of their units."""
        if not vectors:
            raise ValueError("Nothing to stack: the list of AU vectors is empty")
        units = tuple(dict.fromkeys(number for vector in vectors for number in vector.units))
        sided = any(vector.left is not None for vector in vectors)
        return _joined(torch.cat, [vector.select(units) for vector in vectors], sided)

    # Reading it

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AUVector):
            return NotImplemented
        alike = self.units == other.units and (self.left is None) == (other.left is None)
        return alike and all(map(torch.equal, self._tensors(), other._tensors()))

    def __hash__(self) -> int:
        return hash((self.units, len(self)))

    def dict(self, face: int = 0, zeros: bool = False) -> dict[str, float]:
        """One face as {"12": 3.0, "L4": 0.5}; sides where they differ, zeros where asked for."""
        found: dict[str, float] = {}
        for column, number in enumerate(self.units):
            left, right = (_shortest(side[face, column]) for side in self.sides())
            sides = {"": left} if left == right else {"L": left, "R": right}
            found |= {f"{side}{number}": v for side, v in sides.items() if v or zeros}
        return found

    def notation(self, face: int = 0) -> str:
        """One face in FACS notation; the neutral face is the empty text."""
        return format_notation(self.dict(face))

    def to_json(self) -> str:
        """All faces as JSON that `from_json` reads back exactly."""
        about = {"schema": SCHEMA, "units": list(self.units), "sides": self.left is not None}
        return json.dumps({**about, "faces": [self.dict(face) for face in range(len(self))]})

    def sides(self) -> tuple[Tensor, Tensor]:
        """Left and right, float32 [N, K] each; the same tensor twice if they are not apart."""
        return (self.values, self.values) if self.left is None else (self.left, self.right)

    def columns(self, sides: bool) -> Tensor:
        """Values float32 [N, K]; with sides [N, 2 K], the left of every AU, then the right."""
        return torch.cat(self.sides(), dim=1) if sides else self.values

    def dense(self, units: Sequence[int] = SET_A) -> Tensor:
        """Values float32 [N, len(units)] in the order of `units`; see `select`."""
        return self.select(units).values

    # Changing it

    def select(self, units: Sequence[int], strict: bool = True) -> AUVector:
        """The same faces over `units`, in that order. Units it lacks are 0; units it would lose
        must be 0 unless `strict` is off (ValueError naming them)."""
        units = tuple(units)
        used = torch.stack(self.sides()).ne(0).any(1).any(0).tolist()
        lost = [n for n, set_ in zip(self.units, used, strict=True) if set_ and n not in units]
        if strict and lost:
            raise ValueError(
                f"{_list(lost)} set, but only {_list(units)} are used here: set the others to 0"
            )
        return self._map(lambda tensor: _columns(tensor, self.units, units), units)

    def face(self, index: int) -> AUVector:
        """One face as a vector of N = 1. IndexError outside -N..N-1."""
        if not -len(self) <= index < len(self):
            raise IndexError(
                f"Face {index} asked for, but there are {len(self)} faces, counted from 0"
            )
        return self._map(lambda tensor: tensor[[index]])

    def clamp(self, low: float = 0.0, high: float = 5.0) -> AUVector:
        """All intensities within low..high."""
        return self._map(lambda tensor: tensor.clamp(low, high))

    def lerp(self, other: AUVector, t: float) -> AUVector:
        """self at t = 0, other at t = 1, straight between and beyond."""
        return self._with(other, lambda a, b: torch.lerp(a, b, t))

    def __add__(self, other: AUVector) -> AUVector:
        return self._with(other, torch.add)

    def __sub__(self, other: AUVector) -> AUVector:
        return self._with(other, torch.sub)

    def __mul__(self, factor: float) -> AUVector:
        return self._map(lambda tensor: tensor * factor)

    __rmul__ = __mul__

    def _tensors(self) -> tuple[Tensor, ...]:
        return (self.values,) if self.left is None else (self.left, self.right)

    def _sided(self) -> AUVector:
        return AUVector(self.units, self.values, *self.sides())

    def _map(self, change, units: tuple[int, ...] | None = None) -> AUVector:
        tensors = [change(tensor) for tensor in self._tensors()]
        return AUVector(units or self.units, tensors[0], *(tensors if len(tensors) == 2 else ()))

    def _with(self, other: AUVector, combine) -> AUVector:
        """Combine two vectors over the union of their units; one face goes with any number."""
        if len(self) != len(other) and 1 not in (len(self), len(other)):
            raise ValueError(
                f"{len(self)} faces cannot be combined with {len(other)}: "
                "both need the same number of faces, or one of them a single face"
            )
        units = tuple(dict.fromkeys(self.units + other.units))
        sided = self.left is not None or other.left is not None
        pair = [self.select(units), other.select(units)]
        return _joined(lambda tensors: combine(*torch.broadcast_tensors(*tensors)), pair, sided)


def _joined(combine, vectors: Sequence[AUVector], sided: bool) -> AUVector:
    """Apply `combine` to the values of vectors with equal units, or to each of their sides."""
    units = vectors[0].units
    if not sided:
        return AUVector(units, combine([vector.values for vector in vectors]))
    left, right = (combine([vector.sides()[side] for vector in vectors]) for side in (0, 1))
    return AUVector(units, left, left, right)


def _checked(values: Tensor, units: tuple[int, ...], name: str) -> Tensor:
    tensor = torch.as_tensor(values).to(torch.float32, copy=True)
    if tensor.ndim != 2 or tensor.shape[1] != len(units):
        raise ValueError(f"{name} has shape {list(tensor.shape)}; expected [faces, {len(units)}]")
    finite = torch.isfinite(tensor)
    if not finite.all():
        face, column = (~finite).nonzero()[0].tolist()
        raise ValueError(
            f"AU{units[column]} of face {face} is {tensor[face, column].item()} in {name}; "
            "intensities must be finite numbers"
        )
    return tensor


def _columns(tensor: Tensor, units: tuple[int, ...], wanted: tuple[int, ...]) -> Tensor:
    result = tensor.new_zeros(len(tensor), len(wanted))
    for column, number in enumerate(wanted):
        if number in units:
            result[:, column] = tensor[:, units.index(number)]
    return result


def _read_codes(values: Mapping[str | int, float]) -> dict[tuple[str, int], float]:
    """{"L4": 2} -> {("L", 4): 2.0}; refuses an action that is given twice."""
    found: dict[tuple[str, int], float] = {}
    for key, value in values.items():
        code, rest = split_code(str(key))
        number = isinstance(value, (int, float, np.floating, np.integer))
        if rest or isinstance(value, bool) or not number:
            raise ValueError(
                f'{key!r}: {value!r} is not a code and its intensity, such as "L12": 3.0'
            )
        side, number = ("", int(code)) if code.isdigit() else (code[0], int(code[1:]))
        if side in ("T", "B"):
            raise ValueError(
                f"{code}: an AU vector has sides, but not one lip without the other; write {number}"
            )
        contradicting = ("", side) if side else ("", "L", "R")
        if any((other, number) in found for other in contradicting):
            raise ValueError(
                f"AU{number} is given twice; keep one, or write L{number} and R{number}"
            )
        found[side, number] = float(value)
    return found


def read_object(data: str | Mapping, title: str, schema: int) -> Mapping:
    """The object in a JSON text of this schema. ValueError, which calls it `title`, for others."""
    try:
        data = json.loads(data) if isinstance(data, str) else data
    except json.JSONDecodeError as error:
        raise ValueError(f"The text of {title} is not JSON: {error}") from error
    if not isinstance(data, Mapping):
        raise ValueError(f"The JSON of {title} must be an object, not {type(data).__name__}")
    if (found := data.get("schema", schema)) != schema:
        raise ValueError(
            f"The JSON of {title} has schema {found!r}, and only {schema} is known here: "
            "read it with the version that wrote it"
        )
    return data


def _is_list(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(entry, kind) for entry in value)


def _shortest(value: Tensor) -> float:
    """The float with the fewest digits that is the same float32, so that 0.1 prints as 0.1."""
    return float(str(np.float32(value.item())))


def _list(numbers: Sequence[int]) -> str:
    return " ".join(f"AU{number}" for number in numbers)
