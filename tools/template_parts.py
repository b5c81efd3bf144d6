"""What templates are made of: folded parts, apps, and the parts that several templates share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from au_adapter.bundled import GUIDANCE

Graph = dict[str, dict[str, Any]]
Cell = str | tuple[str, int]  # a node, a part, or "note"; with the height that it needs
# A label on a part -> the widgets inside that it sets, as (node, name).
Shown = dict[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Part:
    """Nodes folded into one, with the widgets of theirs that it shows."""

    title: str
    nodes: tuple[str, ...]
    shows: Shown = field(default_factory=dict)


@dataclass(frozen=True)
class App:
    """What App Mode shows: (node or part, widget) in order, and the node of the picture."""

    inputs: tuple[tuple[str, str], ...]
    output: str


@dataclass(frozen=True)
class Template:
    """One workflow on the page.

    title: of the file, letters, digits and _ only, as ComfyUI opens no other by address. columns:
    (width, cells from top to bottom), from left to right; all of it at most 1550 x 720 units, or a
    laptop's screen shows no legible word. more: nodes that only eyes need, in API form; one that
    the workflow has too is replaced. without: nodes of the workflow that the page does not need.
    """

    title: str
    columns: tuple[tuple[int, tuple[Cell, ...]], ...]
    parts: dict[str, Part] = field(default_factory=dict)
    more: Graph = field(default_factory=dict)
    app: App | None = None
    without: tuple[str, ...] = ()


def node(kind: str, title: str | None = None, **inputs: Any) -> dict[str, Any]:
    named = {"_meta": {"title": title}} if title else {}
    return {"class_type": kind, **named, "inputs": inputs}


SEED = {"seed": (("8", "seed"),), "steps": (("8", "steps"),)}
STRENGTH = {"strength": (("6", "strength"),)}
EDIT = {"face": (("6", "face"),), "seed": (("9", "seed"),), "steps": (("9", "steps"),)}
CODE = {"face": (("5", "face"),), "mode": (("6", "mode"),), "region": (("6", "region"),)}
DRAW = Part("Draw the face", ("3", "5", "6", "7", "8", "9"), SEED | STRENGTH)
DRAW_EDIT = Part("Change the face", ("5", "6", "7", "8", "9", "10", "11"), EDIT)

# The same face at rest: AUs at 0, everything else as it is.
AT_REST = {
    "20": node("AUA_AUVector", "AUs at 0"),
    "21": node("AUA_AUEncoder", au_adapter=["1", 3], au_vector=["20", 0]),
    "22": node(
        "AUA_ApplyAUAdapter",
        "At rest",
        model=["1", 0],
        positive=["2", 0],
        negative=["3", 0],
        au_adapter=["1", 3],
        au_tokens=["21", 0],
        strength=1.0,
        start=0.0,
        end=1.0,
    ),
    "23": node(
        "KSampler",
        "Draw it at rest",
        model=["22", 0],
        positive=["22", 1],
        negative=["22", 2],
        latent_image=["7", 0],
        seed=16,
        steps=20,
        cfg=GUIDANCE,
        sampler_name="euler",
        scheduler="normal",
        denoise=1.0,
    ),
    "24": node("VAEDecode", samples=["23", 0], vae=["1", 2]),
    "25": node("PreviewImage", "The same face at rest", images=["24", 0]),
}
DRAW_BOTH = Part(
    "Draw the face",
    (*DRAW.nodes, "20", "21", "22", "23", "24"),
    {
        "seed": (("8", "seed"), ("23", "seed")),
        "steps": (("8", "steps"), ("23", "steps")),
        "strength": (("6", "strength"),),
    },
)


def labelled(pictures: str, sheet: str, label: int = 1) -> Graph:
    """The pictures of node 4's AU vectors on one sheet, with the labels that its output gives."""
    sheet_of = node("AUA_LabelPictures", images=[pictures, 0], labels=["4", label], columns=0)
    return {"30": sheet_of, sheet: node("PreviewImage", "The pictures", images=["30", 0])}
