"""Every node of ours: errors begin with its name, once, and a record costs each node once."""

from __future__ import annotations

import pytest
import torch
from au_adapter_pack.nodes import NODES
from au_adapter_pack.nodes.compat import io, model_management
from au_adapter_pack.nodes.node import Node
from au_adapter_pack.nodes.picture_record import graph_records

from au_adapter import AUVector


def failing(error: Exception) -> type[Node]:
    class Failing(Node):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(node_id="AUA_Failing", display_name="Failing", category="x")

        @classmethod
        def execute(cls) -> io.NodeOutput:
            raise error

    return Failing


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ValueError("no face"), ValueError, "Failing: no face"),
        (FileNotFoundError("gone"), FileNotFoundError, "Failing: gone"),
        (RuntimeError("broken"), RuntimeError, "Failing: broken"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), ValueError, "Failing: 'utf-8' codec"),
        (ValueError("Failing: no face"), ValueError, "Failing: no face"),
    ],
)
def test_an_error_begins_with_the_name_once(error: Exception, kind: type, said: str) -> None:
    with pytest.raises(kind) as caught:
        failing(error).execute()
    assert str(caught.value).startswith(said)
    assert str(caught.value).count("Failing") == 1


@pytest.mark.parametrize(
    "error",
    [torch.cuda.OutOfMemoryError("full"), model_management.InterruptProcessingException()],
    ids=lambda error: type(error).__name__,
)
def test_what_core_knows_by_its_class_passes_untouched(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        failing(error).execute()
    assert caught.value is error


def test_a_copy_that_comfyui_makes_names_itself_once_too() -> None:
    kind = failing(ValueError("no face"))
    copy = kind.PREPARE_CLASS_CLONE(None)
    with pytest.raises(ValueError, match="^Failing: no face$"):
        copy.execute()


def test_every_node_is_one_of_ours() -> None:
    assert all(issubclass(node, Node) for node in NODES)


def chain(length: int) -> dict[str, dict]:
    """AU Change nodes whose two inputs are both the node before: 2^length paths."""
    nodes = {"0": {"class_type": "AUA_AUVector", "inputs": {"au12": 1.0}}}
    settings = {"change": "copy", "region": "all", "strength": 1.0}
    for number in range(1, length + 1):
        before = [str(number - 1), 0]
        inputs = {**settings, "au_vector": before, "source": before}
        nodes[str(number)] = {"class_type": "AUA_AUChange", "inputs": inputs}
    nodes["end"] = {"class_type": "AUA_ApplyMagicFace", "inputs": {"au_vector": [str(length), 0]}}
    return nodes


def test_a_record_runs_each_node_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = next(n for n in NODES if n.define_schema().node_id == "AUA_AUChange")
    runs, execute = [], kind.execute.__func__
    counted = classmethod(lambda cls, **inputs: runs.append(1) or execute(cls, **inputs))
    monkeypatch.setattr(kind, "execute", counted)
    (record,) = graph_records(chain(40))
    assert len(runs) == 40
    assert AUVector.from_json(record["change"]).dict() == {}


def test_a_ladder_behind_apply_magicface_is_walked_once() -> None:
    nodes = chain(1)
    for number in range(60):
        before = ["end" if number == 0 else f"step{number - 1}", 0]
        nodes[f"step{number}"] = {"class_type": "Join", "inputs": {"a": before, "b": before}}
    nodes["last"] = {"class_type": "KSampler", "inputs": {"model": ["step59", 0], "cfg": 3.0}}
    assert graph_records(nodes)[0]["guidance"] == 3.0


def test_a_number_beyond_its_widget_is_not_computed() -> None:
    inputs = {"unit": "AU12 lip corner puller", "start": 0, "stop": 5, "steps": 10**6}
    nodes = {
        "1": {"class_type": "AUA_AUSweep", "inputs": inputs},
        "2": {"class_type": "AUA_ApplyMagicFace", "inputs": {"au_vector": ["1", 0]}},
    }
    with pytest.raises(ValueError, match="steps is 1000000, not from 1 to 4096"):
        graph_records(nodes)


def test_a_docstring_that_explains_what_a_node_does_not_have_is_refused() -> None:
    class Explained(Node):
        """A node.

        face: Which one.
        """

        @classmethod
        def define_schema(cls) -> io.Schema:
            return cls.schema("Explained", aliases=[], inputs=[], outputs=[])

    with pytest.raises(ValueError, match="^Explained: the docstring explains face, which it"):
        Explained.define_schema()
