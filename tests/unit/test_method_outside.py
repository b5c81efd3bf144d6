"""A method from one file outside the package goes through every verb that makes pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from au_adapter.cli import main

# All of it: pictures as bright as AU12 is strong, and an estimator that reads them.
OWN = """
import torch
from au_adapter import AUVector
from au_adapter.estimators.reading import Reading

class Bright:
    name, units, sides, scale = "bright", (4, 12), False, "absolute"

    def __init__(self, size=16):
        self.side = size

    def settings(self):
        return {"size": self.side}

    def draw(self, prompt, seed, aus):
        bright = aus.select((12,), strict=False).values / 5
        return bright[..., None, None].expand(-1, self.side, self.side, 3)

class Brighter:
    name, units, sides, scale = "brighter", (4, 12), False, "change"

    def settings(self):
        return {}

    def open(self, photo, face=0):
        self.photo = photo
        return self

    def edit(self, aus, seed=0):
        change = aus.select((12,), strict=False).values / 5
        return (self.photo + change[..., None, None]).clamp(0, 1)

class Reader:
    name, units = "brightness", (4, 12)

    def estimate(self, images):
        rows = torch.stack([0 * images.mean((1, 2, 3)), 5 * images.mean((1, 2, 3))], 1)
        return [Reading(i, 0, (0, 0, 9, 9), 1.0, AUVector((4, 12), r[None]))
                for i, r in enumerate(rows)]

def open_bright(size=16):
    return Bright(size)
"""
PROTOCOL = {
    "schema": 1, "name": "small", "title": "Small", "scale": "absolute", "units": [12],
    "levels": [3], "seed": 7, "prompts": ["a man", "a woman"], "combinations": [],
}  # fmt: skip
EDITS = {
    **{"schema": 1, "name": "edits", "title": "Edits", "scale": "absolute", "units": [12]},
    **{"levels": [2], "seed": 0, "photos": 2, "combinations": []},
}


@pytest.fixture(autouse=True)
def own_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "own_method.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(tmp_path / "cache"))


def run(*words: object) -> Result:
    more = ["--estimator", "own_method:Reader"]
    result = CliRunner().invoke(main, [*map(str, words), *more], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def rows(folder: Path) -> list[dict]:
    return json.loads((folder / "pictures.json").read_text())["rows"]


def photos(folder: Path) -> Path:
    folder.mkdir()
    for i in range(2):
        Image.new("RGB", (20, 24), (51 * (i + 1),) * 3).save(folder / f"p{i}.png")
    return folder


def test_it_draws(tmp_path: Path) -> None:
    run("draw", "a man", "--aus", "12C", "--method", "own_method:open_bright", "--set", "size=8",
        "--output", tmp_path / "out")  # fmt: skip
    (row,) = rows(tmp_path / "out")
    assert row["method"] == "bright" and row["settings"] == {"size": 8}
    assert row["measured"]["12"] == pytest.approx(3.0, abs=0.02)
    assert Image.open(tmp_path / "out" / row["file"]).size == (8, 8)


def test_it_edits_intensities_as_changes(tmp_path: Path) -> None:
    faces = photos(tmp_path / "photos")
    run("edit", faces, "--aus", "12C", "--method", "own_method:Brighter", "--scale", "absolute",
        "--output", tmp_path / "out")  # fmt: skip
    found = rows(tmp_path / "out")
    assert [row["before"]["12"] for row in found] == pytest.approx([1.0, 2.0])
    assert [row["measured"]["12"] for row in found] == pytest.approx([3.0, 3.0], abs=0.02)


@pytest.mark.parametrize("protocol", [PROTOCOL, EDITS])
def test_it_is_evaluated(tmp_path: Path, protocol: dict) -> None:
    file = tmp_path / "protocol.json"
    file.write_text(json.dumps(protocol))
    given = ["--photos", photos(tmp_path / "photos")] if protocol is EDITS else []
    method = "own_method:Brighter" if given else "own_method:open_bright"
    run("evaluate", file, "--method", method, "--output", tmp_path / "run", *given)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["method"] == ("brighter" if given else "bright")
    assert report["counts"]["scored for AUs"] == 2
    (error,) = [x for x in report["lines"] if (x["group"], x["metric"]) == ("all", "au_mse")]
    assert error["value"] < 0.01
