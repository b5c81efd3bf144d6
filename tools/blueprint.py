"""The subgraph blueprint "Face expression": one node of the node library that does what AU Vector,
AU Encoder and Apply AU-Adapter do together. `python -m tools.build_workflows` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from au_adapter.facs import SET_A, UNITS
from tools.templates import ROOT

TITLE = "Face expression"
PATH = ROOT / "subgraphs" / f"{TITLE}.json"
SCRIPT = Path(__file__).with_name("make_blueprint.js")
VECTOR, ENCODER, APPLY = "1", "2", "3"


def order() -> dict[str, Any]:
    """What the script makes in the page."""
    return {
        "title": TITLE,
        "api": {
            VECTOR: {"class_type": "AUA_AUVector", "inputs": {}},
            ENCODER: {
                "class_type": "AUA_AUEncoder",
                "inputs": {"au_vector": [VECTOR, 0], "calibrated": False},
            },
            APPLY: {
                "class_type": "AUA_ApplyAUAdapter",
                "inputs": {"au_tokens": [ENCODER, 0], "strength": 1.0, "start": 0.0, "end": 1.0},
            },
        },
        "inputs": {
            "model": [[APPLY, "model"]],
            "positive": [[APPLY, "positive"]],
            "negative": [[APPLY, "negative"]],
            "au_adapter": [[ENCODER, "au_adapter"], [APPLY, "au_adapter"]],
        },
        "outputs": {name: [APPLY, slot] for slot, name in enumerate(OUTPUTS)},
        "shows": [
            *([VECTOR, f"au{unit}", f"{UNITS[unit].plain} (AU{unit})"] for unit in SET_A),
            [VECTOR, "notation", "notation"],
            [APPLY, "strength", "strength"],
        ],
    }


OUTPUTS = ("model", "positive", "negative")
