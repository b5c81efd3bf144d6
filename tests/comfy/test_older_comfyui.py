"""Words of ComfyUI's node interface that the ComfyUI here may lack."""

from __future__ import annotations

from au_adapter_pack.nodes.older_comfyui import taking, with_later_words
from comfy_api.latest import io


def test_a_word_that_comfyui_lacks_is_only_remembered() -> None:
    field = taking(io.Float.Input, "no_such_word")("au12", default=1.0, no_such_word=True)
    assert field.no_such_word is True and field.io_type == "FLOAT"
    assert field.as_dict() == io.Float.Input("au12", default=1.0).as_dict()


def test_a_word_that_comfyui_knows_leaves_its_class_alone() -> None:
    assert taking(io.Float.Input, "default") is io.Float.Input


def test_what_these_nodes_say_is_taken_and_the_rest_stays_core_s_own() -> None:
    later = with_later_words(io)
    assert later.ComfyNode is io.ComfyNode and later.NodeOutput is io.NodeOutput
    schema = later.Schema(node_id="AUA_Any", search_aliases=["face"])
    assert schema.search_aliases == ["face"] and isinstance(schema, io.Schema)
    for kind in (later.Boolean, later.Combo, later.Float, later.Int, later.String):
        field = kind.Input("any", advanced=True)
        assert field.advanced is True and issubclass(kind, getattr(io, kind.__name__))
