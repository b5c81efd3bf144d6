"""Keyframes: expressions at frames of a clip, with an easing from each to the next.

As text, a line for each: "frame: notation [easing]".

    0:
    12: 6C+12D ease-out
    23: 4C hold

As JSON, what `Keyframes.to_json` writes, or short: {"0": "", "12": "6C+12D", "23": {"4": 3.0}}.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .vector import AUVector, read_object

SCHEMA = 1  # of `Keyframes.to_json`
#: Share of the way from 0 to 1 -> share of the change, 0 at 0. The names are CSS's and those of
#: animation programs, the curves R. Penner's cubics; "hold" stays until the next keyframe.
EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda t: t,
    "ease-in": lambda t: t**3,
    "ease-out": lambda t: 1 - (1 - t) ** 3,
    "ease-in-out": lambda t: 4 * t**3 if t < 0.5 else 1 - 4 * (1 - t) ** 3,
    "hold": lambda t: 0.0,
}
_LINE = re.compile(r"([0-9]+)\s*:(.*)")
_EXAMPLE = "write 'frame: notation', such as '12: 6C+12D' or '12: 6C+12D ease-out'"


@dataclass(frozen=True)
class Keyframe:
    """One face at a frame, counted from 0; `easing` leads from here to the next keyframe."""

    frame: int
    face: AUVector
    easing: str = "linear"

    def __post_init__(self) -> None:
        if isinstance(self.frame, bool) or not isinstance(self.frame, int) or self.frame < 0:
            raise ValueError(f"a keyframe stands at frame 0, 1, 2, ..., not at {self.frame!r}")
        if len(self.face) != 1:
            raise ValueError(
                f"the keyframe at {self.frame} has {len(self.face)} faces; it needs one"
            )
        if self.easing not in EASINGS:
            raise ValueError(
                f"the keyframe at {self.frame} has the easing {self.easing!r}; "
                f"known are {', '.join(EASINGS)}"
            )


@dataclass(frozen=True)
class Keyframes:
    """Keyframes in the order of their frames, over the same units.

    ValueError for none, or for two at one frame.
    """

    keys: tuple[Keyframe, ...]

    def __post_init__(self) -> None:
        keys = sorted(self.keys, key=lambda key: key.frame)
        if not keys:
            raise ValueError(f"there are no keyframes: {_EXAMPLE}")
        for one, other in zip(keys, keys[1:], strict=False):
            if one.frame == other.frame:
                raise ValueError(f"frame {one.frame} has two keyframes; keep one of them")
        units = sorted({number for key in keys for number in key.face.units})
        keys = (Keyframe(key.frame, key.face.select(units), key.easing) for key in keys)
        object.__setattr__(self, "keys", tuple(keys))

    @classmethod
    def parse(cls, text: str, easing: str = "linear") -> Keyframes:
        """Read lines or JSON; `easing` is that of keyframes that name none."""
        if text.lstrip().startswith("{"):
            return cls.from_json(text, easing)
        lines = enumerate(text.splitlines(), 1)
        return cls(tuple(_read_line(n, line, easing) for n, line in lines if line.strip()))

    @classmethod
    def from_json(cls, data: str | Mapping, easing: str = "linear") -> Keyframes:
        """Read what `to_json` wrote, or {frame: notation or codes}."""
        data = _read_json(data)
        entries = data.get("keyframes", [{"frame": at, "aus": aus} for at, aus in data.items()])
        rows = ((entry["frame"], entry["aus"], entry.get("easing", easing)) for entry in entries)
        return cls(tuple(_read_entry(*row) for row in rows))

    def to_json(self) -> str:
        """All keyframes as JSON that `from_json` reads back exactly."""
        entries = [
            {"frame": key.frame, "aus": key.face.dict(), "easing": key.easing} for key in self.keys
        ]
        return json.dumps({"schema": SCHEMA, "keyframes": entries})

    def vector(self, frames: int, weights: Sequence[float] | None = None) -> AUVector:
        """One face for each of `frames` frames.

        Before the first keyframe its face stays, after the last one that one's. weights: factors
        on the face of each frame, `frames` of them, or a single one. ValueError for other counts.
        """
        weights = [1.0] if weights is None else list(weights)
        if frames < 1 or len(weights) not in (1, frames):
            raise ValueError(
                f"{len(weights)} weights for {frames} frames: give one for each frame, or one "
                "for all, and at least one frame"
            )
        factors = weights * frames if len(weights) == 1 else weights
        return AUVector.stack([self.face(i) * float(factors[i]) for i in range(frames)])

    def face(self, frame: float) -> AUVector:
        """The face at a frame, between keyframes by the earlier one's easing."""
        after = bisect_right([key.frame for key in self.keys], frame)
        if after in (0, len(self.keys)):
            return self.keys[max(after - 1, 0)].face
        one, other = self.keys[after - 1], self.keys[after]
        share = (frame - one.frame) / (other.frame - one.frame)
        return one.face.lerp(other.face, EASINGS[one.easing](share))


def _read_line(number: int, line: str, easing: str) -> Keyframe:
    match = _LINE.fullmatch(line.strip())
    if not match:
        raise ValueError(f"line {number} of the keyframes is {line.strip()!r}: {_EXAMPLE}")
    words = match[2].split()
    if words and words[-1].lower() in EASINGS:
        easing = words.pop().lower()
    return _read_entry(match[1], " ".join(words), easing)


def _read_entry(frame: object, aus: object, easing: str) -> Keyframe:
    """One keyframe; a ValueError names its frame, what was found and what was expected."""
    if isinstance(frame, str) and not frame.strip().lstrip("-").isdecimal():
        raise ValueError(f"the keyframe at {frame}: write the number of a frame, such as 12")
    if not isinstance(aus, str | Mapping):
        raise ValueError(
            f'the keyframe at {frame} is {aus!r}: write FACS notation such as "6C+12D", or codes '
            'with intensities such as {"12": 4}'
        )
    try:
        face = AUVector.parse(aus) if isinstance(aus, str) else AUVector.from_dict(aus)
        return Keyframe(int(frame) if isinstance(frame, str) else frame, face, easing)
    except ValueError as error:
        raise ValueError(f"the keyframe at {frame}: {error}") from error


def _read_json(data: str | Mapping) -> Mapping:
    """The object of keyframes, its outer layout checked; the faces in it are not."""
    data = read_object(data, "the keyframes", SCHEMA)
    entries = data.get("keyframes", [])
    if not isinstance(entries, list) or not all(
        isinstance(entry, Mapping) and {"frame", "aus"} <= entry.keys() for entry in entries
    ):
        raise ValueError(
            'keyframes in JSON are {"keyframes": [{"frame": 0, "aus": {"12": 3.0}}, ...]} or '
            '{"0": "12C", ...}'
        )
    return data
