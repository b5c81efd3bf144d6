"""BLIP-2 as captioner and answerer: a tiny one with the real one's files."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelled_faces import write_picture, write_table
from PIL import Image
from tiny_blip2 import WORDS, write_blip2

from au_adapter.data.blip2 import Blip2
from au_adapter.data.prepare_shards import prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blip2(tmp_path_factory.mktemp("blip2-tiny"))


def test_pictures_are_described_always_the_same(folder: Path) -> None:
    blip2 = Blip2(folder, device="cpu")
    pictures = [Image.new("RGB", (50, 40), colour) for colour in ("red", "white", "red")]
    captions = blip2.caption(pictures)
    assert len(captions) == 3 and captions[0] == captions[2]
    assert blip2.caption(pictures[1:2]) == captions[1:2]
    assert {word for caption in captions for word in caption.split()} <= set(WORDS)
    assert blip2.name.startswith("BLIP-2 blip2-tiny")


def test_an_answer_does_not_repeat_the_question(folder: Path) -> None:
    (answer,) = Blip2(folder, device="cpu").answer(
        [Image.new("RGB", (50, 40))], "Is this a cartoon?"
    )
    assert "Question" not in answer and 0 < len(answer.split()) <= 8


def test_prepare_captions_with_it(folder: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "in" / "a.png")
    table = write_table(tmp_path / "t.csv", [{"file": "a.png", "AU12": 2}])
    card = prepare("folder", tmp_path / "in", table, tmp_path / "out", model=Blip2(folder))
    assert card["captioned"] == 1 and card["settings"]["captioner"].startswith("BLIP-2")


def test_without_the_model_it_says_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="au-adapter download blip2 .*MIT"):
        Blip2(tmp_path)
