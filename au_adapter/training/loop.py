"""The one training loop: accelerate for devices and processes, exact resume, clean stop.

A recipe draws the whole batch of a step from a generator seeded by (seed, step), and every process
takes its own rows. So nothing about the data has to be saved: a resumed run, and a run on two
processes with half the batch each, see the same numbers as an unbroken run on one. A recipe that
reads a stream draws its own rows alone, by the same rule.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ..processes import launched_processes
from .checkpoint import RunState
from .modes import at_rest, checkpoint_gradients
from .progress import quiet
from .recipe import Recipe, Report, Share, SharingRecipe, TellingRecipe, Validate
from .run_files import append_row, replace_folder, restore_folder
from .settings import Settings, learning_rate_factor

logger = logging.getLogger("au_adapter")

JUDGEMENTS = "validation.jsonl"
ENOUGH_FACES = 0.5  # share of the pictures; what draws hardly any face is not the best of anything


def warmed_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """A moving average that forgets the first weights quickly: decay grows as (1 + n) / (10 + n).

    Without the warm-up, a short run's average is mostly what the weights were at its first step.
    """

    @torch.no_grad()
    def update(averages: list[Tensor], weights: list[Tensor], updates: Tensor) -> None:
        count = int(updates)
        share = 1 - min(decay, (1 + count) / (10 + count))
        for average, weight in zip(averages, weights, strict=True):
            if average.is_floating_point():
                average.lerp_(weight.to(average), share)
            else:
                average.copy_(weight)

    return update


class Trainer:
    """Trains a recipe's module for settings.steps steps; goes on from the folder's state."""

    def __init__(
        self,
        recipe: Recipe,
        settings: Settings,
        output: Path,
        validate: Validate | None = None,
        report: Report = quiet,
        about: Mapping[str, Any] | None = None,
    ):
        """validate: called every settings.validate_every steps and after the last; what it likes
        best so far is kept in the folder best, beside result. report: hears of every step. about:
        what training.json says besides."""
        self.recipe, self.settings, self.output = recipe, settings, Path(output)
        self.validate, self.about = validate, dict(about or {})
        launched_processes()  # which part at the end
        self.accelerator = Accelerator(mixed_precision=settings.mixed_precision)
        self._check_batch()
        if settings.gradient_checkpointing:
            checkpoint_gradients(recipe.module)
        parameters = [p for p in recipe.module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            parameters, settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.module, self.optimizer = self.accelerator.prepare(recipe.module, optimizer)
        self.average = self._make_average()
        told = {"recipe": self.about.get("recipe"), "seed": settings.seed, "data": self._folders()}
        self.state = RunState(recipe, self.accelerator, self.optimizer, self.average, told)
        self.report = report if self.accelerator.is_main_process else quiet
        self.step = 0
        self._measured: tuple[int, dict[str, Any]] = (-1, {})  # the step and its measures
        self._stop = False

    def run(self) -> None:
        """Train to the last step, or to an interrupt or termination signal; save either way.

        Raises ValueError when the folder holds the state of another kind of run, RuntimeError when
        the weights stop being finite. Signals are heeded only where Python allows it: in the main
        thread.
        """
        self._resume()
        handlers, first = self._catch_signals(), self.step
        # Where its writing was cut, the state is ahead.
        behind = self._described("result").get("step") != first
        self.report({"event": "start", "step": first, "steps": self.settings.steps})
        try:
            made_up = self._make_up_judgement()
            self._loop()
            if self.step > first or made_up or behind:
                self._save()
            told = {"step": self.step, "result": str(self.output / "result")}
            self.report({"event": "end", **told})
        finally:
            for which, handler in handlers.items():
                signal.signal(which, handler)

    def trained(self) -> nn.Module:
        """The module to use: the moving average where there is one."""
        if self.average is not None:
            return self.average.module
        return self.accelerator.unwrap_model(self.module)

    def _described(self, name: str) -> dict[str, Any]:
        """What is written of the weights in result or best; nothing where there are none."""
        path = self.output / name / "training.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def _folders(self) -> list[str] | None:
        """Where the faces come from; None where nobody told, as all processes but the first."""
        return [card["folder"] for card in self.about.get("data", ())] or None

    def _check_batch(self) -> None:
        size, processes = self.settings.batch_size, self.accelerator.num_processes
        if size % processes:
            raise ValueError(
                f"batch_size {size} does not split evenly over {processes} processes: choose a "
                "multiple"
            )
        if size // processes % self.settings.accumulation:
            raise ValueError(
                f"the {size // processes} rows of a process do not split evenly into "
                f"{self.settings.accumulation} parts: choose another batch_size or accumulation"
            )

    def _loop(self) -> None:
        losses, started = [], time.monotonic()
        while self.step < self.settings.steps and not self._stopping():
            begun = time.monotonic()
            losses.append(self._train_step())
            self.step += 1
            self._tell_step(losses[-1], time.monotonic() - begun)
            if self.step % self.settings.log_every == 0:
                rate = (time.monotonic() - started) / len(losses)
                self._log(torch.stack(losses).mean().item(), rate)
                losses, started = [], time.monotonic()
            judges = self._validates()
            if judges or self.step % self.settings.save_every == 0:
                self._save()  # a check can run out of memory; the steps before it are kept
            if judges:
                self._judge()

    def _train_step(self) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * learning_rate_factor(
                self.step, self.settings
            )
        loss = self._backward(self._rows())
        if most := self.settings.gradient_clip:
            learning = [p for p in self.module.parameters() if p.requires_grad]
            self.accelerator.clip_grad_norm_(learning, most)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.accelerator.unwrap_model(self.module))
        return loss

    def _backward(self, rows: dict[str, Tensor]) -> Tensor:
        """The gradients of this process's rows, part by part; their mean loss."""
        count, losses = self.settings.accumulation, []
        for part in range(count):
            last = part == count - 1  # processes exchange gradients once a step
            with nullcontext() if last else self.accelerator.no_sync(self.module):
                batch = {k: v.chunk(count)[part] for k, v in rows.items()}
                with self.accelerator.autocast():
                    loss = self.module({k: v.to(self.accelerator.device) for k, v in batch.items()})
                self.accelerator.backward(loss / count)
            losses.append(loss.detach())
        return torch.stack(losses).mean()

    def _generator(self) -> torch.Generator:
        seed = (self.settings.seed * 1_000_003 + self.step) % 2**64  # all that torch takes
        return torch.Generator().manual_seed(seed)

    def _rows(self) -> dict[str, Tensor]:
        """This process's rows of the step's batch."""
        size, generator = self.settings.batch_size, self._generator()
        share = Share(self.step, self.accelerator.process_index, self.accelerator.num_processes)
        if isinstance(self.recipe, SharingRecipe):
            return self.recipe.rows(size, generator, share)
        return {k: share.of(v) for k, v in self.recipe.batch(size, generator).items()}

    def _make_average(self) -> AveragedModel | None:
        decay = self.settings.average_decay
        if not decay:
            return None
        module = self.accelerator.unwrap_model(self.module)
        return AveragedModel(module, multi_avg_fn=warmed_average(decay), use_buffers=True)

    def _catch_signals(self) -> dict[int, object]:
        """Handlers that were there before, by signal."""
        if threading.current_thread() is not threading.main_thread():
            return {}
        names = ("SIGINT", "SIGTERM", "SIGBREAK")  # the last is how Windows asks
        heeded = [getattr(signal, name) for name in names if hasattr(signal, name)]
        return {which: signal.signal(which, self._ask_to_stop) for which in heeded}

    def _stopping(self) -> bool:
        """Whether any process was asked to stop: all have to stop after the same step."""
        if self.accelerator.num_processes == 1:
            return self._stop
        asked = torch.tensor(float(self._stop), device=self.accelerator.device)
        return self.accelerator.reduce(asked, "sum").item() > 0

    def _ask_to_stop(self, number: int, frame: object) -> None:
        logger.info("signal %d: saving after step %d", number, self.step)
        self._stop = True

    def _tell_step(self, loss: Tensor, seconds: float) -> None:
        if self.report is not quiet:  # on a GPU, to ask for the number is to wait for it
            told = {"step": self.step, "loss": loss.item(), "seconds": round(seconds, 4)}
            self.report({"event": "step", **told})

    def _log(self, loss: float, seconds: float) -> None:
        if not self.accelerator.is_main_process:
            return
        row = {"step": self.step, "loss": loss, "seconds_per_step": round(seconds, 4)}
        append_row(self.output / "log.jsonl", row)
        logger.info("step %(step)d  loss %(loss).5f  %(seconds_per_step).3f s/step", row)

    def _save(self) -> None:
        """Write state and result beside the old ones, then swap: a cut leaves one of them whole."""
        self._refuse_broken_weights()
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            self.output.mkdir(parents=True, exist_ok=True)
            state = self.output / "state.pt"
            torch.save(self.state.collect(self.step), state.with_suffix(".partial"))
            os.replace(state.with_suffix(".partial"), state)
            step, measures = self._measured
            self._save_result("result", measures if step == self.step else None)
            self.report({"event": "saved", "step": self.step, "folder": str(self.output)})
        self.accelerator.wait_for_everyone()

    def _save_result(self, name: str, measures: dict[str, Any] | None = None) -> None:
        fresh = self.output / f"{name}.partial"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        described = {"step": self.step, "settings": asdict(self.settings), **self.about}
        if measures is not None:
            described["measures"] = measures
        if isinstance(self.recipe, TellingRecipe):
            self.recipe.provenance = described
        self.recipe.save(self.trained(), fresh)
        (fresh / "training.json").write_text(json.dumps(described, indent=1))
        replace_folder(fresh, self.output / name)

    def _validates(self) -> bool:
        every, last = self.settings.validate_every, self.step == self.settings.steps
        due = self.step > 0 and (last or self.step % every == 0) if every else False
        return self.validate is not None and due

    def _make_up_judgement(self) -> bool:
        """Judge the step that was saved last, where the run was cut before; whether it was."""
        if not self._validates() or self.step in _judged(self.output / JUDGEMENTS):
            return False
        self._judge()
        return True

    def _judge(self) -> None:
        """Measure the weights to use, keep them as best where they are, and note it."""
        self._refuse_broken_weights()
        if self.accelerator.is_main_process:
            folder = self.output / "validation" / f"step-{self.step:07d}"
            folder.mkdir(parents=True, exist_ok=True)
            with at_rest(self.trained()):
                measures = self.validate(self.trained(), folder)
            logger.info("step %d  AU error %.4f", self.step, measures["au_error"])
            least = self._best(measures.get("estimator"))
            best = measures["au_error"] < least and measures.get("faces", 1.0) >= ENOUGH_FACES
            self._measured = (self.step, measures)
            if best:
                self._save_result("best", measures)
            append_row(self.output / JUDGEMENTS, {"step": self.step, **measures})  # all is done
            told = {"event": "validation", "step": self.step, "pictures": str(folder), "best": best}
            self.report({**told, **measures})
        self.accelerator.wait_for_everyone()

    def _best(self, estimator: str | None) -> float:
        """The least AU error that this estimator measured so far, infinity before the first."""
        measures = self._described("best").get("measures")
        same = measures is not None and measures.get("estimator") == estimator
        return measures["au_error"] if same else math.inf

    def _refuse_broken_weights(self) -> None:
        broken = [name for name, p in self.state.learning().items() if not torch.isfinite(p).all()]
        if broken:
            raise RuntimeError(
                f"after step {self.step}, {broken[0]} and {len(broken) - 1} other weights are not "
                f"finite; {self.output} keeps what was saved before. Lower learning_rate, or train "
                "with mixed_precision=no"
            )

    def _resume(self) -> None:
        self.output.mkdir(parents=True, exist_ok=True)
        if self.accelerator.is_main_process:
            restore_folder(self.output / "result")
            restore_folder(self.output / "best")
        path = self.output / "state.pt"
        if path.exists():
            self.step = self.state.restore(path)
            logger.info("resumed at step %d", self.step)
        steps = gather_object([self.step])
        if len(set(steps)) > 1:
            raise ValueError(
                f"the processes of this run found states of steps {', '.join(map(str, steps))} in "
                f"{self.output}: it must be one folder, on a disk that all machines share"
            )


def _judged(path: Path) -> set[int]:
    """The steps whose judgement is noted."""
    rows = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {json.loads(row)["step"] for row in rows}
