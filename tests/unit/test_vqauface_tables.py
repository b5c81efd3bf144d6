"""VQ-AUFace's tables on tiny settings: every cell, AAAD by hand, and going on."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_demo import write_demo
from torch.nn.functional import cosine_similarity

from au_adapter.bundled import FOLDER_VARIABLE
from au_adapter.data.rendered import SAMPLE
from au_adapter.estimators.bundled_regressor import BundledRegressor, load_regressor
from au_adapter.estimators.reading import Reading, ReadingSet
from au_adapter.evaluation.picture_report import evaluate_pictures
from au_adapter.evaluation.text_agreement import activations, said, text_agreement
from au_adapter.facs import AUVector, describe
from au_adapter.weights.vqauface_files import MODEL_FILE
from benchmarks.vqauface_report import CONFLICTS, PUBLISHED
from benchmarks.vqauface_tables import CELLS, SIZES, Tables, run

ROOT = Path(__file__).resolve().parents[2]
REGRESSOR = ROOT / "au_adapter" / "bundled" / "regressor.safetensors"
UNITS = (4, 6, 12)


def test_what_a_text_says_is_what_was_asked_for_in_its_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    asked = torch.rand(20, 3, generator=generator) * 5.4
    for row, expected in zip(asked, said(asked), strict=True):
        text = describe(AUVector(UNITS, row[None]))
        read = AUVector.from_text(text).select(UNITS, strict=False)
        torch.testing.assert_close(activations(read.values[0]), expected)
    assert activations(torch.tensor([-1.0, 2.5, 9.0])).tolist() == [0.0, 0.5, 1.0]


def test_aaad_of_pictures_by_hand() -> None:
    asked = torch.tensor([[5.0, 0.0, 0.0], [0.0, 0.0, 4.6]])
    shown = torch.tensor([[4.0, 0.0, 3.0], [0.0, 0.0, 5.0]])
    found = text_agreement(shown, asked)
    # A perfect picture: 1 with its own text, 0 with the other's.
    assert (found.lowest, found.highest) == pytest.approx((0.0, 1.0))
    assert found.value == pytest.approx((0.8 + 1.0) / 2)
    assert found.constant == pytest.approx(1 / math.sqrt(3))
    truth = torch.tensor([[5.0, 0.0, 5.0], [0.0, 5.0, 5.0]])
    real = text_agreement(shown, asked, truth)
    highest = cosine_similarity(truth, said(asked)).max()
    lowest = cosine_similarity(truth, said(asked).flip(0)).min()
    assert real.value == pytest.approx(float((0.9 - lowest) / (highest - lowest)))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as environment:
        demo = write_demo(tmp_path_factory.mktemp("demo"))
        environment.setenv(FOLDER_VARIABLE, str(demo))
        reader = BundledRegressor(load_regressor(REGRESSOR))
        work = tmp_path_factory.mktemp("work")
        yield Tables(SIZES["smoke"], SAMPLE, SAMPLE, work, reader, REGRESSOR)


def test_smoke_makes_every_cell(tables: Tables, tmp_path: Path) -> None:
    report = run(tables, tmp_path, "smoke", tuple(CELLS), ("au-adapter",)).read_text()
    assert CELLS.keys() == PUBLISHED.keys()
    found = json.loads((tmp_path / "smoke.json").read_text())
    for cell in CELLS:
        assert report.count(f"| {cell} |") == 4  # three tables of ours, and the published one
        (seed,) = found["cells"][cell]
        assert seed["all"]["au_error_of_references"] > 0 and seed["all"]["pictures"] >= 2
        assert {"value", "shuffled", "constant"} <= seed["all"]["aaad"].keys()
        assert seed["unseen"] == {"pictures": 0}  # drawn from the pictures that it trains on
        assert len(seed["conflicts"]) == len(CONFLICTS)
    assert "| au-adapter |" in report and "texts by exact look-up" in report
    assert "0.606" in report.partition("## Published")[2]
    measured = tables.work / "text-1" / "measured.json"
    before = measured.stat().st_mtime_ns
    run(tables, tmp_path, "again", ("text",), ())
    assert measured.stat().st_mtime_ns == before
    finished = tables.work / "text-1" / "result" / MODEL_FILE
    given = replace(tables, networks={"text": [finished]})
    assert given.cell("text") == [json.loads(measured.read_text())]


def test_each_cell_is_what_its_name_says(tables: Tables) -> None:
    from au_adapter.weights.vqauface_files import load_vqauface

    configs = {
        name: load_vqauface(
            tables.work / f"{name.replace(' ', '_').replace(',', '')}-1/result/vqauface.safetensors"
        ).config
        for name in CELLS
    }
    assert configs["vector"].driver == "vector" and configs["text"].driver == "text"
    assert [configs["without S, A, V"].__dict__[n] for n in ("structure", "appearance",
            "reference")] == [False] * 3  # fmt: skip
    assert not configs["without S"].structure and configs["without S"].appearance


def test_reports_say_aaad_beside_its_baselines() -> None:
    asked = AUVector(UNITS, torch.tensor([[5.0, 0, 0], [0, 0, 4.6], [0, 0, 0]]))
    shown = torch.tensor([[4.0, 0, 3.0], [0, 0, 5.0], [0, 2.0, 0]])
    readings = [Reading(n, 0, (0.0, 0.0, 8.0, 8.0), 1.0, AUVector(UNITS, shown[n, None]))
                for n in range(3)]  # fmt: skip
    seen = ReadingSet("by hand", 3, tuple(readings))
    report = evaluate_pictures(torch.rand(3, 8, 8, 3), asked, seen)
    found = {line.metric: line for line in report.lines if line.metric.startswith("aaad")}
    value = text_agreement(shown[:2], asked.values[:2])  # the third asks for no AU
    assert found["aaad"].value == pytest.approx(value.value) and found["aaad"].count == 2
    assert found["aaad_shuffled"].value == pytest.approx(value.shuffled)
    assert found["aaad_constant"].value == pytest.approx(value.constant)
    assert found["aaad"].estimator == "by hand, texts by exact look-up"
    two = ReadingSet("by hand", 2, seen.readings[:2])
    alike = evaluate_pictures(torch.rand(2, 8, 8, 3), asked.face(0), two)
    assert not [line for line in alike.lines if line.metric.startswith("aaad")]
