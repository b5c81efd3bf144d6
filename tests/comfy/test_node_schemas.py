"""What every node promises its users: names, tooltips, ranges, a help page, safe bypassing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from au_adapter_pack.nodes import NODES
from sampling import run

from au_adapter import AUVector
from au_adapter.facs import ALL_UNITS, SET_A

DOCS = Path(__file__).resolve().parents[2] / "web" / "docs"
SCHEMAS = {node.define_schema().node_id: node.define_schema() for node in NODES}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
def test_a_node_is_named_described_and_documented(schema: object) -> None:
    assert schema.node_id == "AUA_" + schema.display_name.replace(" ", "").replace("-", "")
    assert schema.description and schema.search_aliases
    page = (DOCS / f"{schema.node_id}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {schema.display_name}\n")


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
def test_every_number_has_a_range_and_a_tooltip(schema: object) -> None:
    for field in schema.inputs:
        if field.io_type in ("FLOAT", "INT"):
            assert field.tooltip and field.min is not None and field.max is not None
            assert field.min <= field.default <= field.max


def test_bypass_joins_equal_slots() -> None:
    """ComfyUI joins inputs and outputs of one type by their index."""
    schema = SCHEMAS["AUA_ApplyAUAdapter"]
    outputs = [output.io_type for output in schema.outputs]
    assert outputs == ["MODEL", "CONDITIONING", "CONDITIONING"]
    assert [field.io_type for field in schema.inputs[:3]] == outputs


def test_the_sliders_are_the_units_in_their_order() -> None:
    sliders = [f for f in SCHEMAS["AUA_AUVector"].inputs if f.io_type == "FLOAT"]
    assert sorted(int(f.id.removeprefix("au")) for f in sliders) == list(ALL_UNITS)
    assert [f.id for f in sliders[:12]] == [f"au{number}" for number in SET_A]
    assert [f.advanced for f in sliders] == [False] * 12 + [True] * 5
    assert {(f.min, f.max, f.default) for f in sliders} == {(0, 5, 0)}


def test_sliders_notation_and_a_vector_are_added() -> None:
    (vector,) = run(
        "AUA_AUVector", au12=2.0, notation="12A+L4C", au_vector=AUVector.parse("12:0.5+7B")
    )
    assert vector.dict() == {"7": 2.0, "12": 3.5, "L4": 3.0}
    assert run("AUA_AUVector")[0].dict() == {}


def test_a_vector_of_many_faces_gets_the_sliders_on_each() -> None:
    (vector,) = run("AUA_AUVector", au6=1.0, au_vector=AUVector.parse("12A") * 2)
    faces = AUVector.stack([AUVector.parse("12A"), AUVector.parse("4C")])
    (many,) = run("AUA_AUVector", au6=1.0, au_vector=faces)
    assert vector.dict() == {"6": 1.0, "12": 2.0}
    assert [many.dict(i) for i in (0, 1)] == [{"6": 1.0, "12": 1.0}, {"4": 3.0, "6": 1.0}]


def test_a_sweep_sets_its_unit_and_keeps_the_others() -> None:
    base = AUVector.parse("6C+12E")
    sweep, labels = run(
        "AUA_AUSweep", unit="AU12 lip corner puller", start=-1, stop=1, steps=3, au_vector=base
    )
    assert torch.equal(sweep.dense((6, 12)), torch.tensor([[3.0, -1], [3, 0], [3, 1]]))
    assert labels == "AU12 -1\nAU12 0\nAU12 1"


def test_a_sweep_of_one_step_is_its_start() -> None:
    sweep, labels = run("AUA_AUSweep", unit="AU4 brow lowerer", start=2, stop=5, steps=1)
    assert sweep.dict() == {"4": 2.0} and labels == "AU4 2"


def test_a_word_for_a_part_of_the_face_is_au_vectors_alone() -> None:
    """The page cannot rank two nodes that both name a word: only one of them may."""
    for word in ("smile", "wink", "eyebrow", "muscle", "mouth", "AU12", "facial expression"):
        named = [name for name, schema in SCHEMAS.items() if word in schema.search_aliases]
        assert named == ["AUA_AUVector"], word


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
def test_a_node_stands_in_a_menu_below_the_packs(schema: object) -> None:
    pack, _, family = schema.category.partition("/")
    assert pack == "AU-Adapter" and family and "/" not in family
