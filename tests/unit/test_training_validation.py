"""Parts of a step, one's own rows of a stream, and the best weights by a measure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from toy_training import SETTINGS, FullDisk, ToyRecipe

from au_adapter.estimators.reading import Reading
from au_adapter.evaluation.contact_sheet import CAPTION, MARGIN, SIDE
from au_adapter.facs import AUVector
from au_adapter.training.loop import Trainer
from au_adapter.training.recipe import Share, Validate
from au_adapter.training.settings import Settings
from au_adapter.training.validation import Case, Validation, single_units, validation_for


class PowerCut(Exception):
    """What ends a run without warning."""


def run(
    output: Path,
    settings: Settings = SETTINGS,
    recipe: ToyRecipe | None = None,
    validate: Validate | None = None,
) -> dict[str, Tensor]:
    Trainer(recipe or ToyRecipe(dropout=0.0), settings, output, validate).run()
    return load_file(output / "result" / "network.safetensors")


def rows(output: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (output / name).read_text().splitlines()]


@pytest.mark.parametrize("parts", [2, 8])
def test_a_step_in_parts_is_the_same_step(tmp_path: Path, parts: int) -> None:
    whole = run(tmp_path / "whole")
    in_parts = run(tmp_path / "parts", replace(SETTINGS, accumulation=parts))
    for name, weight in whole.items():
        torch.testing.assert_close(in_parts[name], weight, atol=1e-5, rtol=0)
    losses = [[r["loss"] for r in rows(tmp_path / n, "log.jsonl")] for n in ("whole", "parts")]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)


def test_gradients_may_be_of_any_size(tmp_path: Path) -> None:
    free = replace(SETTINGS, steps=3, weight_decay=0.0)
    first, second = (
        run(tmp_path / f"{most:g}", replace(free, gradient_clip=most)) for most in (0, 1e9)
    )
    assert all(torch.equal(first[name], weight) for name, weight in second.items())
    still = ToyRecipe().module.network.state_dict()
    assert not any(torch.equal(first[name], weight) for name, weight in still.items())


def test_parts_that_do_not_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the 8 rows .* do not split evenly into 3 parts"):
        Trainer(ToyRecipe(), replace(SETTINGS, accumulation=3), tmp_path)


def test_a_share_is_a_part_of_the_batch() -> None:
    whole = torch.arange(12.0).reshape(6, 2)
    parts = [Share(0, index, 3).of(whole) for index in range(3)]
    assert torch.equal(torch.cat(parts), whole)
    spread = Share(0, 1, 3).spread(parts[1])
    assert torch.equal(spread[2:4], parts[1]) and spread[:2].sum() == spread[4:].sum() == 0


class SharingToy(ToyRecipe):
    """Draws its own rows by the step that it is told, as a stream does."""

    def rows(self, size: int, generator: torch.Generator, share: Share) -> dict[str, Tensor]:
        self.steps = [*getattr(self, "steps", []), share.step]
        return {name: share.of(t) for name, t in self.batch(size, generator).items()}


def test_a_recipe_that_streams_is_told_the_step_also_after_a_stop(tmp_path: Path) -> None:
    recipe = SharingToy(dropout=0.0)
    found = run(tmp_path / "a", replace(SETTINGS, steps=3), recipe)
    assert recipe.steps == [0, 1, 2]
    resumed = SharingToy(dropout=0.0)
    found = run(tmp_path / "a", SETTINGS, resumed)
    assert resumed.steps == list(range(3, 30))
    expected = run(tmp_path / "b", replace(SETTINGS, steps=3)) and run(tmp_path / "b")
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())


class Judge:
    """Says errors one after another, and spoils what a judge must not spoil."""

    def __init__(self, *errors: float):
        self.errors, self.modes = list(errors), []

    def __call__(self, module: nn.Module, folder: Path) -> dict[str, float]:
        self.modes.append((module.training, torch.is_grad_enabled()))
        torch.rand(7)
        (folder / "seen.txt").write_text("here")
        return {"au_error": self.errors.pop(0), "faces": 1.0}


JUDGED = replace(SETTINGS, validate_every=10)


def test_the_best_weights_are_kept(tmp_path: Path) -> None:
    judge = Judge(3.0, 1.0, 2.0)
    run(tmp_path, JUDGED, validate=judge)
    assert [(r["step"], r["au_error"]) for r in rows(tmp_path, "validation.jsonl")] == [
        (10, 3.0), (20, 1.0), (30, 2.0),
    ]  # fmt: skip
    described = json.loads((tmp_path / "best" / "training.json").read_text())
    assert described["step"] == 20 and described["measures"] == {"au_error": 1.0, "faces": 1.0}
    at_twenty = run(tmp_path / "other", replace(SETTINGS, steps=20, decay_steps=0))
    best = load_file(tmp_path / "best" / "network.safetensors")
    assert all(torch.equal(best[name], weight) for name, weight in at_twenty.items())
    assert (tmp_path / "validation" / "step-0000010" / "seen.txt").is_file()
    assert judge.modes == [(False, False)] * 3


def test_errors_by_two_estimators_are_not_compared(tmp_path: Path) -> None:
    def judge(error: float, name: str) -> Callable:
        return lambda module, folder: {"au_error": error, "faces": 1.0, "estimator": name}

    run(tmp_path, replace(JUDGED, steps=10, decay_steps=0), validate=judge(1.0, "strict"))
    run(tmp_path, replace(JUDGED, steps=20, decay_steps=0), validate=judge(2.0, "mild"))
    described = json.loads((tmp_path / "best" / "training.json").read_text())
    assert described["step"] == 20 and described["measures"]["estimator"] == "mild"


def test_a_judgement_leaves_no_trace_in_the_weights(tmp_path: Path) -> None:
    plain = run(tmp_path / "plain", recipe=ToyRecipe())
    judged = run(tmp_path / "judged", JUDGED, ToyRecipe(), Judge(1.0, 1.0, 1.0))
    assert all(torch.equal(judged[name], weight) for name, weight in plain.items())


def test_the_best_survives_a_power_cut(tmp_path: Path) -> None:
    def cut() -> None:
        raise PowerCut

    with pytest.raises(PowerCut):
        run(tmp_path, JUDGED, ToyRecipe({25: cut}), Judge(3.0, 1.0))
    (tmp_path / "best").rename(tmp_path / "best.previous")  # where a cut of the swap leaves it
    run(tmp_path, JUDGED, validate=Judge(2.0))
    described = json.loads((tmp_path / "best" / "training.json").read_text())
    assert described["measures"]["au_error"] == 1.0


def test_no_memory_left_for_a_check_costs_no_steps(tmp_path: Path) -> None:
    def full(module: nn.Module, folder: Path) -> dict[str, float]:
        raise MemoryError

    rarely = replace(JUDGED, save_every=1000)
    with pytest.raises(MemoryError):
        run(tmp_path, rarely, validate=full)
    judge = Judge(3.0, 2.0, 1.0)
    run(tmp_path, rarely, validate=judge)
    assert [r["step"] for r in rows(tmp_path, "validation.jsonl")] == [10, 20, 30]
    assert [r["step"] for r in rows(tmp_path, "log.jsonl")] == list(range(1, 31))


def test_a_judgement_that_was_cut_is_made_up(tmp_path: Path) -> None:
    def cut(module: nn.Module, folder: Path) -> dict[str, float]:
        raise PowerCut

    with pytest.raises(PowerCut):
        run(tmp_path, replace(JUDGED, steps=10, decay_steps=0), validate=cut)
    judge = Judge(3.0)
    for _ in range(2):  # the second time there is nothing left to do
        run(tmp_path, replace(JUDGED, steps=10, decay_steps=0), validate=judge)
    assert [(r["step"], r["au_error"]) for r in rows(tmp_path, "validation.jsonl")] == [(10, 3.0)]
    for name in ("best", "result"):
        described = json.loads((tmp_path / name / "training.json").read_text())
        assert described["step"] == 10 and described["measures"]["au_error"] == 3.0


def test_a_result_that_found_no_room_is_written_later(tmp_path: Path) -> None:
    """The state beside it was written, and the run resumes at its last step."""
    run(tmp_path, replace(SETTINGS, steps=10))
    with pytest.raises(OSError, match="No space"):
        run(tmp_path, replace(SETTINGS, steps=20), FullDisk("result"))
    run(tmp_path, replace(SETTINGS, steps=20))
    assert json.loads((tmp_path / "result" / "training.json").read_text())["step"] == 20
    assert [r["step"] for r in rows(tmp_path, "log.jsonl")] == list(range(1, 21))


def test_a_best_that_found_no_room_is_judged_again(tmp_path: Path) -> None:
    short = replace(JUDGED, steps=10, decay_steps=0)
    with pytest.raises(OSError, match="No space"):
        run(tmp_path, short, FullDisk("best"), Judge(1.0))
    run(tmp_path, short, validate=Judge(1.0))
    assert json.loads((tmp_path / "best" / "training.json").read_text())["step"] == 10
    assert [r["step"] for r in rows(tmp_path, "validation.jsonl")] == [10]


def test_what_draws_no_faces_is_not_the_best(tmp_path: Path) -> None:
    def judge(module: nn.Module, folder: Path) -> dict[str, float]:
        return {"au_error": 0.1, "faces": 0.25}

    run(tmp_path, replace(JUDGED, steps=10, decay_steps=0), validate=judge)
    assert not (tmp_path / "best").exists()


def test_broken_weights_are_not_judged(tmp_path: Path) -> None:
    recipe = ToyRecipe()

    def spoil() -> None:
        with torch.no_grad():
            recipe.module.network[0].weight.fill_(float("nan"))

    recipe.events[3] = spoil
    with pytest.raises(RuntimeError, match="not finite"):
        run(tmp_path, replace(SETTINGS, validate_every=4), recipe, Judge(1.0))
    assert not (tmp_path / "best").exists() and not (tmp_path / "validation").exists()


def test_without_validate_every_nobody_is_asked(tmp_path: Path) -> None:
    run(tmp_path, SETTINGS, validate=Judge())
    assert not (tmp_path / "best").exists()


class Bright:
    """Draws a picture as bright as AU12 was asked for; AU4 it cannot draw."""

    def draw_each(self, prompts: list[str], seeds: list[int], aus: AUVector) -> Tensor:
        bright = aus.select((12,), strict=False).values / 5
        return bright.reshape(-1, 1, 1, 1).expand(-1, 6, 8, 3)


class Drawer:
    """A recipe that draws with Bright."""

    units = (4, 12)

    def __init__(self, base: Path = Path()):
        self.base = base

    def generator(self, module: nn.Module) -> Bright:
        return Bright()


def sheet_size(columns: int, rows: int) -> tuple[int, int]:
    """Of pictures of 8 x 6 pixels, with labels on top and at the left."""
    return SIDE + columns * (8 + MARGIN) + MARGIN, 2 * (CAPTION + MARGIN) + rows * (6 + MARGIN)


def read(images: Tensor) -> list[Reading]:
    """AU12 by brightness; no face where the picture is black; a less certain face that lies."""
    found = []
    for number, image in enumerate(images):
        for confidence, value in ((0.9, 5 * image.mean().item()), (0.2, 0.0)):
            if image.any():
                aus = AUVector((4, 12), torch.tensor([[0.5, value]]))
                found.append(Reading(number, 0, (0, 0, 8, 6), confidence, aus))
    return found


def test_cases_are_no_au_and_each_alone() -> None:
    cases = single_units((4, 12), ("one", "two"))
    row = [[{}, {"4": level}, {"12": level}] for level in (2.0, 4.0)]
    assert [c.requested for c in cases] == [*row[0], *row[1]] * 2
    assert [(c.prompt, c.seed) for c in cases] == [("one", 4001)] * 6 + [("two", 4002)] * 6


def test_measures_by_hand(tmp_path: Path) -> None:
    cases = [Case("p", 1, {"12": 2.0}), Case("p", 1, {"12": 4.0, "4": 1.0}), Case("p", 1, {"4": 3})]
    measures = Validation(Drawer(), read, cases)(nn.Identity(), tmp_path)
    # AU12 as asked; AU4 0.5 for 1, and a black picture, no face, for 3; pooled, 9.25 / 4.
    assert measures["au_error"] == pytest.approx((0 + (0 + 0.25) / 2 + 9) / 3)
    assert measures["full_error"] == pytest.approx((0.25 + 0 + 0.25 + 0 + 9 + 0) / 6)
    assert measures["faces"] == pytest.approx(2 / 3)
    assert measures["response"] == {"12": {"2": 2.0}, "4": {"3": 0.0}}
    assert measures["estimator"] == "unnamed"
    assert Image.open(tmp_path / "pictures.png").size == sheet_size(3, 1)


def test_a_response_begins_at_the_face_without_aus(tmp_path: Path) -> None:
    measures = Validation(Drawer(), read)(nn.Identity(), tmp_path)
    assert measures["response"]["12"] == {"0": 0.0, "2": 2.0, "4": 4.0}
    rows = 2 * 2  # prompts x levels, each beginning with no AU
    assert Image.open(tmp_path / "pictures.png").size == sheet_size(3, rows)


def test_an_estimator_that_lacks_an_au_is_named(tmp_path: Path) -> None:
    cases = [Case("p", 1, {"12": 2.0, "7": 1.0})]
    drawer = Drawer()
    drawer.units = (4, 7, 12)
    with pytest.raises(ValueError, match="estimator does not read AU7"):
        Validation(drawer, read, cases)(nn.Identity(), tmp_path)


def test_what_cannot_be_judged_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ToyRecipe draws no faces to judge: set validate_every=0"):
        validation_for(ToyRecipe())
    with pytest.raises(ValueError, match="regressor.safetensors does not exist"):
        validation_for(Drawer(tmp_path))
    assert validation_for(Drawer(tmp_path), read).cases == single_units((4, 12))


class Reader:
    """An estimator that reads AU12 alone."""

    name, units, estimate = "brightness", (12,), staticmethod(read)


def test_an_estimator_is_asked_for_what_it_reads(tmp_path: Path) -> None:
    validation = validation_for(Drawer(tmp_path), Reader())
    assert validation.cases == single_units((12,)) and validation.estimator == "brightness"
    assert validation(nn.Identity(), tmp_path)["not_measured"] == ["AU4"]
    blind = Reader()
    blind.units = (7,)
    with pytest.raises(ValueError, match="brightness reads none of the AUs"):
        validation_for(Drawer(tmp_path), blind)


def test_sides_that_no_case_asks_for_are_not_measured(tmp_path: Path) -> None:
    drawer = Drawer()
    drawer.sides = True
    measures = Validation(drawer, read)(nn.Identity(), tmp_path)
    assert measures["not_measured"] == ["left and right apart"]


def test_the_last_step_is_judged_too(tmp_path: Path) -> None:
    run(tmp_path, replace(SETTINGS, validate_every=12), validate=Judge(3.0, 2.0, 1.0))
    assert [r["step"] for r in rows(tmp_path, "validation.jsonl")] == [12, 24, 30]
    described = json.loads((tmp_path / "result" / "training.json").read_text())
    assert described["measures"]["au_error"] == 1.0
