"""The training loop: devices and processes through accelerate, exact resume, clean stop.

A recipe draws the whole batch of a step from a generator seeded by (seed, step), and every process
takes its own rows. So no position in the data has to be saved: a resumed run, and a run on two
processes with half the batch each, see the same numbers as an unbroken run on one. A recipe that
reads a stream draws only its own rows, by the same rule.
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
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from ..processes import launched_processes
from . import run_files
from .checkpoint import Checkpoint
from .memory import require_room
from .modes import checkpoint_gradients, evaluating
from .moving_average import MovingAverage
from .progress import quiet
from .recipe import Recipe, Report, Share, SharingRecipe, Validate
from .settings import Settings, learning_rate_factor

logger = logging.getLogger("au_adapter")

VALIDATIONS = "validation.jsonl"
GRACE = 30.0  # seconds that a step may take on after the run was asked to stop
ENOUGH_FACES = 0.5  # of the pictures must show a face for the weights to count as the best


class Trainer:
    """Trains a recipe's module for settings.steps steps and resumes from its checkpoint."""

    def __init__(
        self,
        recipe: Recipe,
        settings: Settings,
        output: Path,
        validate: Validate | None = None,
        report: Report = quiet,
        about: Mapping[str, Any] | None = None,
    ):
        """validate: called every settings.validate_every steps and after the last; the weights with
        the least error go to the folder best, beside result. report: receives every event. about:
        more entries for training.json."""
        self.recipe, self.settings, self.output = recipe, settings, Path(output)
        self.validate, self.about = validate, dict(about or {})
        launched_processes()  # they part when Python ends
        self.accelerator = Accelerator(mixed_precision=settings.mixed_precision)
        self._check_batch()
        if settings.gradient_checkpointing:
            checkpoint_gradients(recipe.module)
        optimizer = torch.optim.AdamW(
            [p for p in recipe.module.parameters() if p.requires_grad],
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.module, self.optimizer = self.accelerator.prepare(recipe.module, optimizer)
        self.average = None
        if decay := settings.average_decay:
            self.average = MovingAverage(self.accelerator.unwrap_model(self.module), decay)
        # Only rank 0 is told the folders.
        folders = [card["folder"] for card in self.about.get("data", ())] or None
        identity = {"recipe": self.about.get("recipe"), "seed": settings.seed, "data": folders}
        self.checkpoint = Checkpoint(
            recipe, self.accelerator, self.optimizer, self.average, identity
        )
        self.report = report if self.accelerator.is_main_process else quiet
        self.step = 0
        self._measured: tuple[int, dict[str, Any]] = (-1, {})  # the step and its measures
        self._stop = self._has_room = False
        self._saved = -1  # the step of the files
        self._ended = threading.Event()
        self._watch: threading.Thread | None = None  # ends a step that takes too long to stop
        self._changing = threading.RLock()  # held while weights, step or files change
        self._random = self.checkpoint.random_state()  # as it was before the step at work

    def run(self) -> None:
        """Train to the last step, or until an interrupt or termination signal; save either way.

        Raises ValueError when the folder holds the checkpoint of another kind of run, RuntimeError
        when the weights stop being finite. Signals count in the main thread only.
        """
        self._resume()
        handlers, first = self._catch_signals(), self.step
        # After a crash during a save, the checkpoint is ahead of the result.
        behind = run_files.read_description(self.output / "result").get("step") != first
        self.report({"event": "start", "step": first, "steps": self.settings.steps})
        try:
            # A run that was cut during a validation makes it up.
            validated = {row["step"] for row in run_files.read_rows(self.output / VALIDATIONS)}
            missed = self._validation_due() and first not in validated
            if missed:
                self._validate()
            self._loop()
            if self.step > first or missed or behind:
                self._save()
            self.report({"event": "end", "step": self.step, "result": str(self.output / "result")})
        finally:
            self._ended.set()
            if self._watch:  # Python does not end well while a thread of it wakes up
                self._watch.join()
            for which, handler in handlers.items():
                signal.signal(which, handler)

    def trained(self) -> nn.Module:
        """The module to use: the moving average where there is one."""
        if self.average is not None:
            return self.average.module
        return self.accelerator.unwrap_model(self.module)

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

    def _resume(self) -> None:
        self.output.mkdir(parents=True, exist_ok=True)
        if self.accelerator.is_main_process:
            run_files.restore_folder(self.output / "result")
            run_files.restore_folder(self.output / "best")
        path = self.output / "state.pt"
        if path.exists():
            self.step = self.checkpoint.restore(path)
            self._saved = self.step
            logger.info("resumed at step %d", self.step)
        steps = gather_object([self.step])
        if len(set(steps)) > 1:
            raise ValueError(
                f"the processes of this run found states of steps {', '.join(map(str, steps))} in "
                f"{self.output}: it must be one folder, on a disk that all machines share"
            )

    def _catch_signals(self) -> dict[int, object]:
        """Stop on a signal; the handlers that were there before, by signal."""
        if threading.current_thread() is not threading.main_thread():
            return {}

        def stop(number: int, frame: object) -> None:
            logger.info("signal %d: saving after step %d", number, self.step)
            if not self._stop and self.accelerator.num_processes == 1:
                self._watch = threading.Thread(target=self._give_up, daemon=True)
                self._watch.start()
            self._stop = True

        names = ("SIGINT", "SIGTERM", "SIGBREAK")  # SIGBREAK: Windows
        caught = [getattr(signal, name) for name in names if hasattr(signal, name)]
        return {which: signal.signal(which, stop) for which in caught}

    def _give_up(self) -> None:
        """Save what the steps before have learnt, and end the process in the middle of a step or of
        a validation that does not end within GRACE."""
        if self._ended.wait(GRACE):
            return
        with self._changing:
            if self._ended.is_set():
                return
            logger.info("step %d takes too long and is given up", self.step + 1)
            if self._saved != self.step:
                self._save(self._random)
            self.report({"event": "end", "step": self.step, "result": str(self.output / "result")})
            os._exit(0)

    def _loop(self) -> None:
        losses, started = [], time.monotonic()
        while self.step < self.settings.steps and not self._stopping():
            begun = time.monotonic()
            losses.append(self._train_step())
            if self.report is not quiet:  # reading the loss waits for the GPU
                seconds = round(time.monotonic() - begun, 4)
                event = {"event": "step", "step": self.step, "loss": losses[-1].item()}
                self.report({**event, "seconds": seconds})
            if self.step % self.settings.log_every == 0:
                if self.accelerator.is_main_process:
                    loss, rate = torch.stack(losses).mean().item(), time.monotonic() - started
                    row = {"step": self.step, "loss": loss}
                    row["seconds_per_step"] = round(rate / len(losses), 4)
                    run_files.append_row(self.output / "log.jsonl", row)
                    logger.info("step %d  loss %.5f  %.3f s/step", *row.values())
                losses, started = [], time.monotonic()
            validates = self._validation_due()
            if validates or self.step % self.settings.save_every == 0:
                self._save()  # before the validation, which can run out of memory
            if validates:
                self._validate()

    def _stopping(self) -> bool:
        """Whether any process was asked to stop: all have to stop after the same step."""
        if self.accelerator.num_processes == 1:
            return self._stop
        asked = torch.tensor(float(self._stop), device=self.accelerator.device)
        return self.accelerator.reduce(asked, "sum").item() > 0

    def _train_step(self) -> Tensor:
        self._random = self.checkpoint.random_state()
        rate = self.settings.learning_rate * learning_rate_factor(self.step, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._backward(self._rows())
        if most := self.settings.gradient_clip:
            trainable = [p for p in self.module.parameters() if p.requires_grad]
            self.accelerator.clip_grad_norm_(trainable, most)
        with self._changing:
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            if self.average is not None:
                self.average.update(self.accelerator.unwrap_model(self.module))
            self.step += 1
        return loss

    def _rows(self) -> dict[str, Tensor]:
        """This process's rows of the step's batch."""
        seed = (self.settings.seed * 1_000_003 + self.step) % 2**64  # torch takes 64 bits
        size, generator = self.settings.batch_size, torch.Generator().manual_seed(seed)
        share = Share(self.step, self.accelerator.process_index, self.accelerator.num_processes)
        if isinstance(self.recipe, SharingRecipe):
            return self.recipe.rows(size, generator, share)
        return {k: share.of(v) for k, v in self.recipe.batch(size, generator).items()}

    def _backward(self, rows: dict[str, Tensor]) -> Tensor:
        """Accumulate the gradients of this process's rows, part by part; their mean loss."""
        count, losses = self.settings.accumulation, []
        if not self._has_room:
            first = {k: v.chunk(count)[0] for k, v in rows.items()}
            module = self.accelerator.unwrap_model(self.module)
            with self.accelerator.autocast():
                require_room(module, first, self.accelerator.device)
            self._has_room = True
        for part in range(count):
            last = part == count - 1  # processes exchange gradients once a step
            with nullcontext() if last else self.accelerator.no_sync(self.module):
                batch = {k: v.chunk(count)[part] for k, v in rows.items()}
                with self.accelerator.autocast():
                    loss = self.module({k: v.to(self.accelerator.device) for k, v in batch.items()})
                self.accelerator.backward(loss / count)
            losses.append(loss.detach())
        return torch.stack(losses).mean()

    def _save(self, random: Mapping[str, Tensor] | None = None) -> None:
        """Write checkpoint and result beside the old ones, then swap them in. random: the state to
        resume from, by default the present one."""
        self._require_finite()
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            with self._changing:
                self._save_files(random or self.checkpoint.random_state())
        self.accelerator.wait_for_everyone()

    def _save_files(self, random: Mapping[str, Tensor]) -> None:
        path = self.output / "state.pt"
        partial = path.with_suffix(".partial")
        try:
            torch.save(self.checkpoint.collect(self.step) | dict(random), partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        step, measures = self._measured
        self._save_result("result", measures if step == self.step else None)
        self._saved = self.step
        self.report({"event": "saved", "step": self.step, "folder": str(self.output)})

    def _save_result(self, name: str, measures: dict[str, Any] | None) -> None:
        fresh = self.output / f"{name}.partial"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        described = {"step": self.step, "settings": asdict(self.settings), **self.about}
        if measures is not None:
            described["measures"] = measures
        self.recipe.provenance = described
        try:
            self.recipe.save(self.trained(), fresh)
            (fresh / run_files.DESCRIPTION).write_text(json.dumps(described, indent=1))
            run_files.replace_folder(fresh, self.output / name)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _validation_due(self) -> bool:
        every = self.settings.validate_every
        if self.validate is None or not every or not self.step:
            return False
        return self.step % every == 0 or self.step == self.settings.steps

    def _validate(self) -> None:
        """Measure the module to use, keep it as best if it is, and then log the measures."""
        self._require_finite()
        if self.accelerator.is_main_process:
            folder = self.output / "validation" / f"step-{self.step:07d}"
            folder.mkdir(parents=True, exist_ok=True)
            with evaluating(self.trained()):
                measures = self.validate(self.trained(), folder)
            logger.info("step %d  AU error %.4f", self.step, measures["au_error"])
            least = self._least_error(measures.get("estimator"))
            best = measures["au_error"] < least and measures.get("faces", 1.0) >= ENOUGH_FACES
            self._measured = (self.step, measures)
            if best:
                self._save_result("best", measures)
            run_files.append_row(self.output / VALIDATIONS, {"step": self.step, **measures})
            event = {"event": "validation", "step": self.step, "pictures": str(folder)}
            self.report({**event, "best": best, **measures})
        self.accelerator.wait_for_everyone()

    def _least_error(self, estimator: str | None) -> float:
        """The AU error of the best so far by this estimator, infinity before the first."""
        measures = run_files.read_description(self.output / "best").get("measures", {})
        same = measures.get("estimator") == estimator
        return measures.get("au_error", math.inf) if same else math.inf

    def _require_finite(self) -> None:
        weights = self.checkpoint.trainable().items()
        broken = [name for name, weight in weights if not torch.isfinite(weight).all()]
        if broken:
            raise RuntimeError(
                f"after step {self.step}, {broken[0]} and {len(broken) - 1} other weights are not "
                f"finite; {self.output} keeps what was saved before. Lower learning_rate, or train "
                "with mixed_precision=no"
            )
