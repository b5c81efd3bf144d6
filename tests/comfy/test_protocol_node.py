"""AU Protocol: what it hands out is the protocol's own, part by part."""

from __future__ import annotations

import pytest
import torch
from au_adapter_pack.nodes.picture_record import graph_records
from sampling import run
from shipped import api_graph

from au_adapter import AUVector
from au_adapter.evaluation.protocols import load_protocol
from au_adapter.facs import SET_A


def part(protocol: str, number: int = 1, first: int = 1, rows: int = 0) -> tuple:
    return run("AUA_AUProtocol", protocol=protocol, number=number, first=first, rows=rows)


def test_all_parts_of_finefaces_protocol_are_the_protocol() -> None:
    whole = load_protocol("fineface")
    parts = [part("fineface", number) for number in range(1, len(whole.references) + 1)]
    assert [(p[1], p[2]) for p in parts] == [(r.prompt, r.seed) for r in whole.references]
    asked = torch.cat([vectors.values[1:] for vectors, *_ in parts])
    expected = [AUVector.from_dict(row.requested, SET_A).values for row in whole.rows]
    assert torch.equal(asked, torch.cat(expected)) and len(asked) == 1650
    labels = [label for p in parts for label in p[4].splitlines()[1:]]
    assert labels == [row.id for row in whole.rows]


def test_every_part_begins_without_aus_and_counts_it() -> None:
    vectors, prompt, _, count, labels = part("magicface", 20)
    assert not vectors.values[0].any() and vectors.values[1:].any(1).all() and prompt == ""
    assert count == len(vectors) == len(labels.splitlines()) == 1 + 8940 // 20


def test_pictures_say_which_rows_they_show() -> None:
    (record,) = graph_records(api_graph("au_protocol"))
    faces = record["aus"]["faces"]
    assert len(faces) == 11 and faces[:3] == [{}, {"1": 1.0}, {"1": 2.0}]


def test_rows_can_be_taken_in_batches() -> None:
    whole, batches = part("fineface", 3)[0].values, []
    for first in range(1, 111, 40):
        batches.append(part("fineface", 3, first, 40)[0].values[1:])
    assert [len(batch) for batch in batches] == [40, 40, 30]
    assert torch.equal(torch.cat(batches), whole[1:])


@pytest.mark.parametrize(
    ("number", "first", "said"),
    [(16, 1, "15 prompts or photos, found number 16"), (1, 111, "110 rows, found first 111")],
)
def test_what_the_protocol_does_not_have(number: int, first: int, said: str) -> None:
    with pytest.raises(ValueError, match=f"AU Protocol: .*{said}"):
        part("fineface", number, first)
