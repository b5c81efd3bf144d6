"""The training loop: exact resume, clean stop, two processes as one, no result ever lost."""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import toy_training
from labelled_faces import write_faces
from safetensors.torch import load_file
from torch import nn
from toy_training import SETTINGS, StreamedToy, ToyRecipe
from two_processes import in_two_processes

from au_adapter.training.loop import Trainer
from au_adapter.training.run_files import append_row, replace_folder, restore_folder
from au_adapter.training.settings import Settings, learning_rate_factor

ROOT = Path(__file__).parents[2]
FACES = (9, 7, 8, 6)  # in shards, for the runs on a stream


class PowerCut(Exception):
    """What ends a run without warning."""


def cut() -> None:
    raise PowerCut


def terminate() -> None:
    signal.raise_signal(signal.SIGTERM)


def train(output: Path, settings: Settings = SETTINGS, **recipe: object) -> Trainer:
    trainer = Trainer(ToyRecipe(**recipe), settings, output)
    trainer.run()
    return trainer


def losses(output: Path) -> dict[int, float]:
    """Step -> loss; of a step that was done twice, the later."""
    rows = map(json.loads, (output / "log.jsonl").read_text().splitlines())
    return {row["step"]: row["loss"] for row in rows}


def state(output: Path) -> dict:
    return torch.load(output / "state.pt", weights_only=True)


def network(output: Path) -> dict[str, torch.Tensor]:
    return load_file(output / "result" / "network.safetensors")


def assert_same(found: object, expected: object) -> None:
    """Equal to the last bit, tensors in dicts and lists included."""
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("unbroken")
    train(output)
    return output


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("one")
    train(output, dropout=0.0)
    return output


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of toy_training as two processes, as `accelerate launch` starts them."""
    output = tmp_path_factory.mktemp("two")
    write_faces(output / "faces", FACES)
    in_two_processes([sys.executable, toy_training.__file__, str(output)])
    return output


def test_the_toy_learns(unbroken: Path) -> None:
    rows = losses(unbroken)
    assert list(rows) == list(range(1, 31))
    first, last = ([rows[step] for step in steps] for steps in (range(1, 6), range(26, 31)))
    assert sum(last) < 0.85 * sum(first)


def test_a_run_cut_off_goes_on_as_if_nothing_had_happened(tmp_path: Path, unbroken: Path) -> None:
    with pytest.raises(PowerCut):
        train(tmp_path, events={14: cut})
    assert state(tmp_path)["step"] == 10
    train(tmp_path, seed=1)  # other first weights: all that counts is the state
    assert list(losses(tmp_path).values())[10:] == list(losses(unbroken).values())[10:]
    assert_same(state(tmp_path), state(unbroken))
    assert_same(network(tmp_path), network(unbroken))


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_cleanly_and_saves(
    tmp_path: Path, unbroken: Path, which: signal.Signals
) -> None:
    before = signal.getsignal(which)
    trainer = train(tmp_path, events={7: lambda: signal.raise_signal(which)})
    assert trainer.step == state(tmp_path)["step"] == 7
    assert json.loads((tmp_path / "result" / "training.json").read_text())["step"] == 7
    assert signal.getsignal(which) is before
    train(tmp_path, seed=1)
    assert losses(tmp_path) == losses(unbroken)
    assert_same(state(tmp_path), state(unbroken))


def test_a_signal_during_the_last_save_does_not_cut_it(tmp_path: Path) -> None:
    class Recipe(ToyRecipe):
        def save(self, module: torch.nn.Module, folder: Path) -> None:
            terminate()
            super().save(module, folder)

    Trainer(Recipe(), replace(SETTINGS, steps=2), tmp_path).run()
    assert state(tmp_path)["step"] == 2
    assert network(tmp_path)


def test_a_run_outside_the_main_thread_leaves_signals_alone(tmp_path: Path) -> None:
    thread = threading.Thread(target=train, args=(tmp_path, replace(SETTINGS, steps=2)))
    thread.start()
    thread.join()
    assert state(tmp_path)["step"] == 2


def test_two_processes_learn_what_one_learns(two_processes: Path, one_process: Path) -> None:
    for name, weight in network(one_process).items():
        torch.testing.assert_close(
            network(two_processes / "whole")[name], weight, atol=1e-5, rtol=0
        )
    for name, weight in state(one_process)["module"].items():
        found = state(two_processes / "whole")["module"][name]
        torch.testing.assert_close(found, weight, atol=1e-5, rtol=0)


def test_two_processes_on_shards_of_their_own_learn_what_one_learns(
    two_processes: Path, tmp_path: Path
) -> None:
    faces = write_faces(tmp_path / "faces", FACES)
    Trainer(StreamedToy(faces), SETTINGS, tmp_path).run()
    for name, weight in network(tmp_path).items():
        found = network(two_processes / "streamed")[name]
        torch.testing.assert_close(found, weight, atol=1e-5, rtol=0)


def test_all_processes_stop_when_one_is_asked_and_one_can_go_on(
    two_processes: Path, one_process: Path
) -> None:
    assert state(two_processes / "stopped")["step"] == 12
    train(two_processes / "stopped", dropout=0.0, seed=1)
    for name, weight in network(one_process).items():
        found = network(two_processes / "stopped")[name]
        torch.testing.assert_close(found, weight, atol=1e-5, rtol=0)


def test_a_batch_that_does_not_split_is_refused(two_processes: Path) -> None:
    for process in (0, 1):
        text = (two_processes / f"uneven{process}.txt").read_text()
        assert text.startswith("batch_size 7 does not split evenly over 2 processes")


def test_processes_with_a_folder_each_are_refused(two_processes: Path) -> None:
    for process in (0, 1):
        text = (two_processes / f"apart{process}" / "refused.txt").read_text()
        assert text.startswith("the processes of this run found states of steps 0, 12 in ")
        assert text.endswith("on a disk that all machines share")


def test_half_a_state_never_replaces_a_whole_one(tmp_path: Path, unbroken: Path) -> None:
    trainer = Trainer(ToyRecipe(), SETTINGS, tmp_path)

    def spoil() -> None:
        trainer.optimizer.param_groups[0]["note"] = lambda: None  # cannot be written

    trainer.recipe.events[15] = spoil
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        trainer.run()
    assert not list(tmp_path.glob("*.partial"))
    assert state(tmp_path)["step"] == 10
    train(tmp_path, seed=1)
    assert_same(state(tmp_path), state(unbroken))


def test_half_a_result_never_replaces_a_whole_one(tmp_path: Path) -> None:
    class Recipe(ToyRecipe):
        def save(self, module: torch.nn.Module, folder: Path) -> None:
            super().save(module, folder)
            if self.drawn > 10:
                raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        Trainer(Recipe(), SETTINGS, tmp_path).run()
    assert json.loads((tmp_path / "result" / "training.json").read_text())["step"] == 10
    train(tmp_path, seed=1)
    assert json.loads((tmp_path / "result" / "training.json").read_text())["step"] == 30
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"state.pt", "result", "log.jsonl"}


def _folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "file").write_text(text)
    return path


def test_a_swap_of_folders_cut_in_the_middle_is_undone(tmp_path: Path) -> None:
    result = _folder(tmp_path / "result", "old")
    result.rename(tmp_path / "result.previous")  # where a cut leaves it
    restore_folder(result)
    assert (result / "file").read_text() == "old"
    restore_folder(result)
    replace_folder(_folder(tmp_path / "fresh", "new"), result)
    assert (result / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_a_resumed_run_finds_the_result_of_a_cut_swap(tmp_path: Path) -> None:
    train(tmp_path, replace(SETTINGS, steps=2))
    (tmp_path / "result").rename(tmp_path / "result.previous")
    with pytest.raises(PowerCut):
        train(tmp_path, events={1: cut})
    assert network(tmp_path)


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    trainer = Trainer(ToyRecipe(), SETTINGS, tmp_path)

    def spoil() -> None:
        with torch.no_grad():
            trainer.module.network[0].weight.fill_(float("nan"))

    trainer.recipe.events[13] = spoil
    with pytest.raises(RuntimeError, match="after step 20, .* not finite.*learning_rate"):
        trainer.run()
    assert state(tmp_path)["step"] == 10


def test_the_greatest_seed_of_the_node_trains(tmp_path: Path) -> None:
    assert train(tmp_path, replace(SETTINGS, steps=1, seed=2**48)).step == 1


def test_the_state_of_another_base_is_refused_in_any_precision(tmp_path: Path) -> None:
    train(tmp_path, replace(SETTINGS, steps=1))
    other = ToyRecipe()
    other.module.frozen.bfloat16().float()
    Trainer(other, replace(SETTINGS, steps=2), tmp_path).run()
    with torch.no_grad():
        other.module.frozen.weight.add_(0.1)
    with pytest.raises(ValueError, match="another base of the same shape.*choose another output"):
        Trainer(other, replace(SETTINGS, steps=3), tmp_path).run()


def test_the_state_of_a_run_beside_another_network_is_refused(tmp_path: Path) -> None:
    recipe = ToyRecipe()
    recipe.autoencoder = nn.Linear(3, 2)
    Trainer(recipe, replace(SETTINGS, steps=1), tmp_path).run()
    Trainer(recipe, replace(SETTINGS, steps=2), tmp_path).run()
    recipe.autoencoder = nn.Linear(3, 2)
    with pytest.raises(ValueError, match="another base of the same shape"):
        Trainer(recipe, replace(SETTINGS, steps=3), tmp_path).run()


def test_the_scale_of_half_precision_gradients_goes_on(tmp_path: Path) -> None:
    scaled = []
    for scale, steps in ((512.0, 1), (8.0, 2)):
        trainer = Trainer(ToyRecipe(), replace(SETTINGS, steps=steps), tmp_path)
        trainer.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        trainer.accelerator.scaler.scale(torch.zeros(1))  # which is when it takes its scale
        trainer.run()
        scaled.append(trainer.accelerator.scaler.get_scale())
    assert scaled == [512.0, 512.0]


def test_the_state_of_another_run_is_refused(tmp_path: Path) -> None:
    train(tmp_path, replace(SETTINGS, steps=1))
    other = ToyRecipe()
    other.module.frozen.requires_grad_(True)
    with pytest.raises(ValueError, match="trains other weights: choose another output folder"):
        Trainer(other, SETTINGS, tmp_path).run()
    wider = ToyRecipe()  # the same names, as of another rank or of more AUs
    wider.module.network[0], wider.module.network[3] = nn.Linear(6, 8), nn.Linear(8, 3)
    with pytest.raises(ValueError, match="trains other weights: choose another output folder"):
        Trainer(wider, SETTINGS, tmp_path).run()


def test_the_state_of_other_data_or_another_seed_is_refused(tmp_path: Path) -> None:
    def run(steps: int, seed: int = 0, **about: object) -> None:
        settings = replace(SETTINGS, steps=steps, seed=seed)
        Trainer(ToyRecipe(), settings, tmp_path, about=about).run()

    faces, photos = {"folder": "rendered", "faces": 3}, {"folder": "photos", "faces": 3}
    run(1, recipe="toy", data=[faces])
    run(2, recipe="toy", data=[faces | {"faces": 4}])
    for wrong in (
        lambda: run(3, recipe="toy", data=[faces, photos]),
        lambda: run(3, recipe="toy", seed=1, data=[faces]),
        lambda: run(3, recipe="another", data=[faces]),
    ):
        with pytest.raises(ValueError, match="is the state of a run of .* choose another output"):
            wrong()


def test_the_state_of_other_aus_is_refused(tmp_path: Path) -> None:
    trainer = Trainer(ToyRecipe(), replace(SETTINGS, steps=1), tmp_path)
    trainer.recipe.units = (1, 2)
    trainer.run()
    trainer.recipe.units = (6, 12)
    with pytest.raises(ValueError, match="trains other weights: choose another output folder"):
        Trainer(trainer.recipe, SETTINGS, tmp_path).run()


def test_a_row_that_was_cut_off_makes_room_for_the_next(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    for left in (None, "", '{"step": 1', '{"step": 1}\n', '{"step": 1}\n{"st'):
        log.unlink(missing_ok=True)
        if left is not None:
            log.write_text(left)
        append_row(log, {"step": 2})
        rows = [json.loads(line)["step"] for line in log.read_text().splitlines()]
        assert rows == ([1, 2] if "1}" in (left or "") else [2])


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 1 / 3), (1, 2 / 3), (2, 1.0), (19, 1.0), (20, 1.0), (21, 0.91), (25, 0.55), (29, 0.19)],
)
def test_the_learning_rate_warms_up_and_falls(step: int, expected: float) -> None:
    assert learning_rate_factor(step, SETTINGS) == pytest.approx(expected)


def test_the_learning_rate_is_constant_by_default() -> None:
    assert {learning_rate_factor(step, Settings(steps=9)) for step in range(9)} == {1.0}


def test_only_what_trains_is_in_the_state(unbroken: Path) -> None:
    names = {f"network.{i}.{kind}" for i in (0, 3) for kind in ("weight", "bias")}
    found = state(unbroken)
    assert set(found["module"]) == names
    assert set(found["average"]) == {"n_averaged", *(f"module.{name}" for name in names)}
    assert found["average"]["n_averaged"] == 30
