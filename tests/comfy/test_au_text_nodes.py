"""AU Text and AU From Text as nodes, and their texts before ComfyUI's own CLIP tokenizer."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import folder_paths
import pytest
import torch
from comfy.sd1_clip import SDTokenizer
from sampling import NODE, run

from au_adapter import AUVector
from au_adapter.facs import CLIP_TOKENS, constructs, count_tokens, understand


def texts(vector: AUVector, **inputs: object) -> tuple[list[str], str]:
    settings = {"policy": "paper", "wording": "anatomical", "intensity_words": True}
    return run(
        "AUA_AUText", au_vector=vector, **{**settings, "seed": 0, "token_limit": 0, **inputs}
    )


@pytest.fixture
def own_file(tmp_path: Path) -> Iterator[Path]:
    """Where a person's expressions lie, in a user folder of the test's own."""
    before = folder_paths.get_user_directory()
    folder_paths.set_user_directory(str(tmp_path))
    file = tmp_path / "default" / "au_adapter" / "expressions.json"
    file.parent.mkdir(parents=True)
    yield file
    folder_paths.set_user_directory(before)


def test_the_words_for_a_face_come_back() -> None:
    (text,), notes = texts(AUVector.parse("6B+12D+15A"))
    assert notes.startswith("make a new look: 6+12+15")
    vector, explanation = run("AUA_AUFromText", text=text)
    assert vector.dict() == {"6": 2.0, "12": 4.0, "15": 1.0}
    assert explanation.splitlines()[0] == f"{text}: 6B+12D+15A"


def test_one_text_for_each_face() -> None:
    faces = AUVector((12, 25), torch.tensor([[0.0, 0], [3, 0], [3, 0.2]]))
    found, notes = texts(faces, wording="short")
    assert found == ["relaxed face", *["smile with lip corners markedly pulled up"] * 2]
    assert notes == "left out of face 2: AU25 is 0.2, less than half a trace"
    assert NODE["AUA_AUText"].define_schema().outputs[0].is_output_list


def test_settings_reach_the_text() -> None:
    face = AUVector.parse("10C+14C+15C")
    assert texts(face)[0] != texts(face, policy="strict")[0] != texts(face, seed=1)[0]
    assert "markedly" not in texts(face, intensity_words=False)[0][0]
    limited, notes = texts(face, wording="short", token_limit=15)
    assert count_tokens(limited[0]) <= 15 and "AU15C did not fit into 15 tokens" in notes


def test_words_are_explained() -> None:
    vector, explanation = run("AUA_AUFromText", text="slightly doubtful, left brow raised")
    assert vector == understand("slightly doubtful, left brow raised").vector
    assert "left brow raised: L1C+L2C" in explanation


@pytest.mark.parametrize("text", ["smlie", "frowning", "or", ""])
def test_what_is_not_understood_names_the_node(text: str) -> None:
    with pytest.raises(ValueError, match="AU From Text: "):
        run("AUA_AUFromText", text=text)


def test_a_person_s_own_expressions(own_file: Path) -> None:
    node = NODE["AUA_AUFromText"]
    before = node.fingerprint_inputs(text="zzz")
    with pytest.raises(ValueError, match="AU From Text: 'zzz' is not known"):
        run("AUA_AUFromText", text="zzz, lips parted")
    own_file.write_text(json.dumps({"expressions": {"zzz": {"aus": "1B+L12C"}}}), "utf-8")
    os.utime(own_file, ns=(1, 1))
    assert node.fingerprint_inputs(text="zzz") != before
    vector, explanation = run("AUA_AUFromText", text="slightly zzz, lips parted")
    assert vector.dict() == pytest.approx({"1": 1.33, "L12": 2.0, "25": 3.0})
    assert explanation.startswith("slightly zzz: zzz, yours: ")
    own_file.write_text(json.dumps({"expressions": {"anger": {"aus": "1B"}}}), "utf-8")
    with pytest.raises(ValueError, match="AU From Text: .*'anger' of 'anger' already means anger"):
        run("AUA_AUFromText", text="lips parted")
    own_file.write_text("{", "utf-8")
    with pytest.raises(ValueError, match="AU From Text: .*expressions.json is not JSON"):
        run("AUA_AUFromText", text="lips parted")


def test_tokens_are_counted_as_clip_counts_them() -> None:
    tokenizer = SDTokenizer().tokenizer
    for entry in constructs():
        for text in (*entry.wordings, entry.one_side, entry.short, entry.short_one_side):
            for adverb in ("faintly", "extremely"):
                said = re.sub(r"\{\d+\}", adverb, text).replace("{side}", "left")
                assert count_tokens(said) == len(tokenizer(said)["input_ids"]) - 2, said


def test_the_limit_of_clip_holds() -> None:
    tokenizer = SDTokenizer().tokenizer
    everything = AUVector.parse("1+2+4+5+6+7+9+10+12+14+15+17+20+23+24+25+26")
    ((text,), notes) = texts(everything, wording="short", token_limit=CLIP_TOKENS)
    assert 40 < len(tokenizer(text)["input_ids"]) - 2 <= CLIP_TOKENS
    assert "did not fit" in notes
