"""AU Keyframes on a real server, driven by lists of numbers as other packs put them out."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from au_adapter import AUVector
from tools.server import ComfyServer, PromptError

SCHEDULES = '''
"""Numbers for frames in the ways that packs have: a list in one FLOAT, many FLOATs, FLOATS."""

NUMBERS = [0.0, 0.5, 1.0]


class ListInOne:
    RETURN_TYPES, FUNCTION, CATEGORY = ("FLOAT",), "numbers", "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def numbers(self):
        return (NUMBERS,)


class ManyOutputs(ListInOne):
    OUTPUT_IS_LIST = (True,)


class Floats(ListInOne):
    RETURN_TYPES = ("FLOATS",)


class KeepVector:
    """Puts out the AU vectors as text, to be read in the history."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "keep", "test", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"vector": ("AU_VECTOR",)}}

    def keep(self, vector):
        return {"ui": {"text": [vector.to_json()]}}


NODE_CLASS_MAPPINGS = {
    kind.__name__: kind for kind in (ListInOne, ManyOutputs, Floats, KeepVector)
}
'''


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    server = ComfyServer(base=tmp_path_factory.mktemp("comfyui"))
    (server.base / "custom_nodes" / "schedules.py").write_text(SCHEDULES)
    with server:
        yield server


def clip(kind: str, frames: int = 3) -> dict:
    nodes = {
        "1": (kind, {"value": 0.5} if kind == "PrimitiveFloat" else {}),
        "2": ("AUA_AUVector", {"notation": "6B"}),
        "3": (
            "AUA_AUKeyframes",
            {
                **{"frames": frames, "keyframes": "0: 12D", "easing": "linear"},
                **{"au_vector": ["2", 0], "weights": ["1", 0]},
            },
        ),
        "4": ("KeepVector", {"vector": ["3", 0]}),
        "5": ("PreviewAny", {"source": ["3", 1]}),
    }
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()}


@pytest.mark.parametrize("kind", ["ListInOne", "ManyOutputs", "Floats"])
def test_lists_of_numbers_from_other_packs(server: ComfyServer, kind: str) -> None:
    outputs = server.wait(server.post_prompt(clip(kind)))["outputs"]
    (text,) = outputs["4"]["text"]
    vector = AUVector.from_json(text)
    assert [vector.dict(frame) for frame in range(len(vector))] == [
        {"6": 2.0},
        {"6": 2.0, "12": 2.0},
        {"6": 2.0, "12": 4.0},
    ]
    assert outputs["5"]["text"] == ["0: 6B\n1: 6B+12B\n2: 6B+12D"]


def test_a_single_number_is_for_all_frames(server: ComfyServer) -> None:
    outputs = server.wait(server.post_prompt(clip("PrimitiveFloat")))["outputs"]
    faces = json.loads(outputs["4"]["text"][0])["faces"]
    assert faces == [{"6": 2.0, "12": 2.0}] * 3


def test_another_number_of_them_is_a_sentence(server: ComfyServer) -> None:
    with pytest.raises(PromptError, match="node 3 .*AU Keyframes: 3 weights for 4 frames"):
        server.wait(server.post_prompt(clip("Floats", frames=4)))
