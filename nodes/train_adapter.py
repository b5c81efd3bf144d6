"""Train AU-Adapter: training as a subprocess, followed from the graph."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from PIL import Image

from au_adapter.data.pictures import read_picture
from au_adapter.evaluation.plots import sentence_picture
from au_adapter.training.follow import (
    LOCK,
    LOG,
    POLL_INTERVAL,
    Training,
    TrainingError,
    is_training,
)
from au_adapter.training.results import find_result, read_losses, training_report
from au_adapter.weights.adapter_files import load_adapter

from .au_adapter import ADAPTER_FOLDER
from .compat import ProgressBar, folder_paths, io, model_management, ui
from .node import FOLDED, Node
from .sockets import AUAdapterSocket, LossMapSocket
from .train_files import fingerprint, labelled_folders, save_numbered, saved_as
from .train_request import BASES, DATA, ENCODERS, PRECISIONS, RUNS, UNIT_CHOICES, Request

PREVIEW = 512  # pixels of the longer side, sent to the page
SHEET = "pictures.png"
# What to change on this node when memory runs out in a step, or in validation, which draws several
# faces at once, whatever batch_size is.
LOWER = (
    "lower batch_size (and raise grad_accumulation_steps by as much for the same result), switch "
    "gradient_checkpointing on, or choose training_dtype bf16"
)
LOWER_VALIDATION = (
    "set validate_every to 0, which keeps the last adapter and draws nothing, or learn fewer units "
    "under another name: fewer faces are held in memory"
)


class TrainAUAdapter(Node):
    """Trains an AU-Adapter after FineFace on labelled faces, in a process of its own, and keeps it
    in models/au_adapter. A run that was stopped goes on where it was. The help page says what is
    not as in FineFace.

    base: What the adapter is for: the bundled model, or a checkpoint of Stable Diffusion 1.5 or
        2.1, which stays as it is.
    data: Labelled faces: the 240 rendered ones that come along, or a folder inside ComfyUI's input
        folder with pictures and labels.csv (columns file, caption, AU1, AU2, ... from 0 to 5), or
        with shards of `au-adapter prepare` or `render`.
    name: Of the file in models/au_adapter, which gets a number: my_adapter_00001. The same name
        goes on with the same run.
    batch_size: Faces worked on at once. What memory allows.
    grad_accumulation_steps: Batches that make one step: 16 faces a step are 16 x 1, or 4 x 4 with a
        quarter of the memory.
    steps: Steps in all, those of an earlier run of this name included. FineFace: 20000.
    learning_rate: 0.001 suits the bundled model, 0.0001 Stable Diffusion (FineFace). It rises over
        the first steps and falls to a tenth over the last quarter of `steps`.
    rank: Rank of the LoRA inside the adapter. FineFace: 32.
    seed: Of the first weights, the noise and the order of faces.
    training_dtype: What the networks compute in. The adapter itself is kept in fp32.
    gradient_checkpointing: Compute activations twice instead of keeping them: less memory, a third
        more time.
    units: The Action Units that are learnt. An AU that the labels do not name is 0. Left and right
        apart needs labels that tell them apart, as rendered faces have. Checks read no side apart,
        and 17 AUs by Google's face landmarker.
    validate_every: Steps between two checks: faces are drawn at fixed seeds and their AUs read, and
        the adapter that answers best is the one that is kept. 0: no checks, and the last one is
        kept.
    existing_run: What to do with an earlier run of this name: go on with it up to `steps`, or
        delete its state (not its adapters) and begin again.
    encoder: How intensities become tokens (FineFace, Table 2). FineFace's own make one token of
        all: res_mlp64, and on Stable Diffusion 1.5 res_mlp. individual makes one of each AU, so
        that places of the picture attend to the AUs that move them; it learns faster on the bundled
        model, and sides best.
    loss_map: The loss of every step, for Plot Loss Graph.
    report: Data, losses and the measured response, in Markdown.
    pictures: The faces drawn at the last check: rows of no AU and each AU alone.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "Train AU-Adapter",
            family="models and training",
            aliases=["FACS", "action units", "training", "fine-tune", "LoRA", "dataset"],
            inputs=[
                io.Combo.Input(
                    "base",
                    options=[BASES[0], *folder_paths.get_filename_list("checkpoints")],
                    default=BASES[0],
                ),
                io.Combo.Input("data", options=[DATA[0], *labelled_folders()], default=DATA[0]),
                io.String.Input("name", default="my_adapter"),
                io.Int.Input("batch_size", default=8, min=1, max=10000),
                io.Int.Input("grad_accumulation_steps", default=1, min=1, max=1024),
                io.Int.Input("steps", default=1000, min=2, max=1000000),
                io.Float.Input(
                    "learning_rate", default=0.001, min=0.0000001, max=1.0, step=0.0000001
                ),
                io.Int.Input("rank", default=32, min=1, max=128),
                io.Int.Input("seed", default=0, min=0, max=2**48),
                io.Combo.Input("training_dtype", options=list(PRECISIONS), default="bf16"),
                io.Boolean.Input("gradient_checkpointing", default=False),
                io.Combo.Input(
                    "units", options=list(UNIT_CHOICES), default=next(iter(UNIT_CHOICES))
                ),
                io.Int.Input("validate_every", default=250, min=0, max=1000000),
                io.Combo.Input("existing_run", options=list(RUNS), default=RUNS[0]),
                io.Combo.Input("encoder", options=list(ENCODERS), default=ENCODERS[0], **FOLDED),
            ],
            outputs=[
                AUAdapterSocket.Output(),
                LossMapSocket.Output(display_name="loss_map"),
                io.String.Output(display_name="report"),
                io.Image.Output(display_name="pictures"),
            ],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **widgets: Any) -> str:
        return fingerprint(*(widgets.get(name) for name in ("data", "name", "existing_run")))

    @classmethod
    def execute(cls, **widgets: Any) -> io.NodeOutput:
        request = Request(**widgets)
        if request.existing_run == RUNS[1]:
            _forget(request.folder)
        model_management.unload_all_models()
        model_management.soft_empty_cache()
        with _explained():
            trained = _follow(request)
            return _output(request, trained)


def _forget(folder: Path) -> None:
    """Delete the state of an earlier run, once no process writes it any more. Its log stays, and so
    do runs inside its folder, such as people/anna in people."""
    if not folder.is_dir():
        return
    lock = FileLock(folder / LOCK)
    while not lock.is_locked:
        model_management.throw_exception_if_processing_interrupted()
        with suppress(Timeout):
            lock.acquire(timeout=POLL_INTERVAL)
    try:
        for path in folder.iterdir():
            if path.name not in (LOCK, LOG) and not any(path.rglob(LOG)):
                whole = path.is_dir() and not path.is_symlink()
                shutil.rmtree(path) if whole else path.unlink()
    finally:
        lock.release()


def _follow(request: Request) -> int:
    """Train, show progress, and return the number of steps done. An interruption leaves at once,
    and the process saves."""
    bar, done = ProgressBar(request.steps), 0
    while is_training():  # one that was interrupted is still saving, in memory that this one needs
        model_management.throw_exception_if_processing_interrupted()
        time.sleep(POLL_INTERVAL)
    with Training(request.arguments(), request.folder, request.environment()) as training:
        for event in training.events():
            model_management.throw_exception_if_processing_interrupted()
            if event is not None:
                kind = event["event"]
                done += kind == "step"
                if kind in ("start", "step"):
                    bar.update_absolute(event["step"])
                if kind == "validation":
                    with Image.open(Path(event["pictures"]) / SHEET) as sheet:
                        preview = ("JPEG", sheet.convert("RGB"), PREVIEW)
                    bar.update_absolute(event["step"], preview=preview)
    return done


def _output(request: Request, trained: int) -> io.NodeOutput:
    """The best adapter, else the last, in a new file unless one holds it already.

    trained: steps that were followed; an interrupted run may have done more by itself.
    """
    result = find_result(request.folder, validated=request.validate_every > 0)
    adapter = load_adapter(result / "adapter.safetensors").requires_grad_(False).eval()
    report = training_report(request.folder, result)
    if file := saved_as(request.folder, adapter):
        # Why the best adapter is still the one that was saved before.
        why = f"Nothing left to train up to step {request.steps}"
        if trained:
            why = f"None of {trained} more steps made an adapter that answers better"
        report += f"\n\n{why}, and no new file: it is {file}"
    else:
        file = save_numbered(request.folder, adapter, request.name)
        report += f"\n\nSaved as {file}"
    report += f" in models/{ADAPTER_FOLDER}"
    losses = {"loss": read_losses(request.folder)}
    if sheets := sorted((request.folder / "validation").glob(f"*/{SHEET}")):
        pictures = read_picture(sheets[-1])
    else:
        every = request.validate_every
        pictures = sentence_picture(f"No faces were drawn yet: validate_every is {every}")
    return io.NodeOutput(adapter, losses, report, pictures, ui=ui.PreviewText(report))


@contextmanager
def _explained() -> Iterator[None]:
    """Turn a failure of the training process into one sentence that says what to do here."""
    try:
        yield
    except TrainingError as error:
        text = str(error)
        if error.kind in ("MemoryError", "CheckMemoryError", "killed"):
            where, lower = (" in a check", LOWER_VALIDATION) if error.checking else ("", LOWER)
            text = (
                f"the memory is used up{where}. {lower[0].upper()}{lower[1:]}. What was saved "
                "before is whole, and the same name goes on from there"
            )
        raise RuntimeError(text) from error
