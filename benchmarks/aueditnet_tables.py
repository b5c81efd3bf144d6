"""AUEditNet's Tables 1 to 4 on rendered people that nothing was trained on, whose AUs are known.

    python -m tools.train_bundled --model ict_facekit.npz --stage teacher ... --stage aueditnet
    python -m benchmarks.aueditnet_tables --size evening

The judge is H_est of section 4.1 as `tools.train_bundled` trains it; its own error on real targets
stands first. MagicFace and SDEdit edit the same photos, towards the same AUs.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from au_adapter.data.rendered import load
from au_adapter.disk import write_json, write_text
from au_adapter.estimators import open_estimator
from au_adapter.evaluation.comparison import Comparison, comparison
from au_adapter.faces.quads import cut_quad
from au_adapter.facs import SET_A, AUVector
from au_adapter.methods import Editor, open_editor
from au_adapter.methods.scales import for_editor
from au_adapter.methods.wplus_editing import FaceLatent, drawn, edited
from au_adapter.metrics import mean_score, per_unit
from au_adapter.models.aueditnet import AUEditNet
from au_adapter.models.siamese import SiameseAU
from au_adapter.training.aligned_faces import quads_of_renders
from au_adapter.training.run import train
from au_adapter.weights.aueditnet_files import load_aueditnet, load_siamese
from au_adapter.weights.wplus_files import WPlus, load_wplus
from tools import face_files
from tools.train_bundled.__main__ import default_output
from tools.train_bundled.editing_trials import (
    Edits,
    Trials,
    inverted,
    make_edits,
    make_trials,
    read,
)
from tools.train_bundled.plan import STAGES

from .aueditnet_report import report

LOGGER = logging.getLogger("au_adapter")
RESULTS = Path(__file__).parent / "results"
GOOGLE = {
    "AU_ADAPTER_FACE_LANDMARKER": "face_landmarker.task",
    "AU_ADAPTER_PERSON_SEGMENTER": "selfie_segmenter.tflite",
}
SMILE, SMILE_STEPS = (6, 12), 8
OTHERS = {"MagicFace": "magicface", "FineFace + SDEdit": "au-adapter-sdedit"}
# The design rows of Table 4 in our reading, then the losses; options of the recipe aueditnet.
SINGLE = {"branch": "single", "labels": 0}
ABLATIONS: dict[str, dict[str, Any]] = {
    "single branch, linear Phi": {**SINGLE, "layers": 0},
    "+ encoder, decoder": SINGLE,
    "+ dual branch": {"labels": 0},
    "+ label mapping": {},
    "without L_R": {"reconstruction_weight": 0.0},
    "without L_F": {"pretrained_weight": 0.0},
    "without L_L": {"label_weight": 0.0},
}


@dataclass(frozen=True)
class Size:
    """How much is done: trials of AUEditNet, photos of the slower methods, settings of the
    ablations' trainings, and of the other methods."""

    trials: int
    photos: int
    training: dict[str, Any]
    others: dict[str, Any] = field(default_factory=dict)


QUICK = {"warmup_steps": 0, "decay_steps": 0, "batch_size": 2, "log_every": 1}
SIZES = {
    "smoke": Size(3, 1, {**QUICK, "steps": 2}, {"steps": 2}),
    "evening": Size(200, 32, {"steps": 1500, "decay_steps": 500, "batch_size": 8, "seed": 12}),
    "full": Size(400, 200, dict(STAGES["aueditnet"].settings)),
}


@dataclass(frozen=True)
class Shop:
    """Where renders and results lie, as `tools.train_bundled` leaves them."""

    output: Path

    def renders(self, name: str) -> Path:
        """A draw."""
        return self.output / "renders" / name

    def result(self, stage: str) -> Path:
        """A stage's result."""
        return self.output / stage / "result"


def run(size: Size, shop: Shop, results: Path, name: str) -> dict[str, Any]:
    """Measure everything, and write NAME.json and NAME.md into results."""
    for variable, file in GOOGLE.items():  # where the set-up leaves Google's models
        os.environ.setdefault(variable, str(face_files.MODELS / file))
    wplus = load_wplus(shop.result("wplus_sharp"))
    network = load_aueditnet(shop.result("aueditnet")).network
    judge = load_siamese(shop.result("judge"))
    held_out = shop.renders("held_out_scenes")
    trials = make_trials([held_out], wplus, size.trials)
    made = make_edits(wplus, network, trials)
    reader = Judge(judge, trials)
    compare = comparison([face_files.MODELS])
    others = other_methods(trials, held_out, wplus, size)
    found = {
        "trials": size.trials,
        "photos": size.photos,
        "judge": "H_est (ResNet-50, differences to the person's relaxed picture)",
        "table 1": table_1(reader, made, others),
        "table 2": table_2(compare, trials, made, others),
        "table 3": table_3(compare, reader, wplus, network, trials),
        "transfer": transfer(reader, wplus, network, made, held_out),
        "table 4": table_4(reader, wplus, size, shop, results / name),
        "not measured": dict(compare.not_measured),
    }
    results.mkdir(parents=True, exist_ok=True)
    write_json(results / f"{name}.json", {"schema": 1, "size": asdict(size), **found})
    write_text(results / f"{name}.md", report(found))
    return found


@dataclass(frozen=True)
class Judge:
    """Reads pictures beside the person's relaxed one."""

    network: SiameseAU
    trials: Trials

    def scores(self, pictures: Tensor, wanted: Tensor) -> dict[str, Any]:
        """ICC and MSE of each AU and their means, of the first pictures of the trials. wanted:
        intensities [n, K]."""
        seen = self.read(pictures)
        rows = per_unit(wanted, seen, SET_A)
        mean = mean_score(rows)
        units = {str(row.unit): {"icc": row.icc, "mse": row.mse} for row in rows}
        return {"pictures": len(pictures), "icc": mean.icc, "mse": mean.mse, "units": units}

    def read(self, pictures: Tensor, rows: Tensor | None = None) -> Tensor:
        """Intensities [n, K]. rows: of the trials, by default the first."""
        rows = torch.arange(len(pictures)) if rows is None else rows
        return read(self.network, self.trials, pictures, self.trials.neutral[rows])


def table_1(reader: Judge, made: Edits, others: dict[str, Tensor]) -> dict[str, Any]:
    """Accuracy of intensities: method -> scores; "(N)" are faces without AUs."""
    trials = reader.trials
    target, relaxed = (trials.faces.aus[rows] for rows in (trials.target, trials.neutral))
    rows = {
        "real targets (the judge's own error)": (trials.pictures(trials.target), target),
        "nothing done": (made.unchanged, target),
        "AUEditNet": (made.edited, target),
        **{name: (pictures, target[: len(pictures)]) for name, pictures in others.items()},
        "nothing done (N)": (made.unchanged, relaxed),
        "AUEditNet (N)": (made.relaxed, relaxed),
    }
    return {name: reader.scores(*pair) for name, pair in rows.items()}


def table_2(
    compare: Comparison, trials: Trials, made: Edits, others: dict[str, Tensor]
) -> dict[str, Any]:
    """Identity and likeness beside the real and the inverted target: method -> target -> metrics,
    means over pictures."""
    targets = {"real": trials.pictures(trials.target), "inverted": made.wanted}
    methods = {"GAN inversion": made.unchanged, "AUEditNet": made.edited, **others}
    return {
        name: {kind: measures(compare, pictures, target) for kind, target in targets.items()}
        for name, pictures in methods.items()
    }


def measures(compare: Comparison, pictures: Tensor, target: Tensor) -> dict[str, float]:
    """Metric -> mean over pictures; "l2" is the paper's, the mean square of picture_rmse."""
    found = compare(pictures, target[: len(pictures)])
    means = {name: float(values.nanmean()) for name, values in found.items()}
    return {"l2": float(found["picture_rmse"].square().mean()), **means}


def table_3(
    compare: Comparison, reader: Judge, wplus: WPlus, network: AUEditNet, trials: Trials
) -> dict[str, Any]:
    """AU6 and AU12 together from 0 to 5 in eight steps: E_d, how far the look goes from the first
    picture on the way, and rho, how much smile there is for it. The paper takes both from another
    one, with a face recognition network: its figures are on another scale."""
    _, first = trials.neutral.unique(return_inverse=True)
    people = [int((first == number).nonzero()[0]) for number in range(int(first.max()) + 1)]
    steps = torch.linspace(0, 5, SMILE_STEPS)
    asked = torch.zeros(SMILE_STEPS, len(SET_A))
    asked[:, [SET_A.index(unit) for unit in SMILE]] = steps[:, None]
    distances, smiles = [], []
    codes = inverted(wplus, trials, trials.neutral[people])
    for number, row in enumerate(people):
        latent = FaceLatent(codes.codes[number : number + 1], codes.space)
        pictures = drawn(wplus.generator, edited(network, latent, AUVector(SET_A, asked))[0])
        seen = reader.read(pictures, torch.full((SMILE_STEPS,), row))
        smiles.append(seen[:, [SET_A.index(unit) for unit in SMILE]].mean(1))
        measured = compare(pictures[1:], pictures[:1])
        distances.append(measured.get("identity_l2", measured.get("look")))
    curve = torch.stack(smiles).mean(0)
    distance = float(torch.stack(distances).nanmean()) if distances[0] is not None else float("nan")
    return {
        "people": len(people),
        "curve": curve.tolist(),
        "E_d": distance,
        "rho": float(curve[-1] - curve[0]) / distance,
    }


def transfer(
    reader: Judge, wplus: WPlus, network: AUEditNet, made: Edits, held_out: Path
) -> dict[str, Any]:
    """The expression of somebody else's picture, without numbers (section 4.5), and by the numbers
    that an estimator reads in it, as AU Change would ask for them."""
    trials = reader.trials
    wanted = trials.faces.aus[trials.other]
    pictures = torch.from_numpy(load(held_out).images)[trials.other].float() / 255
    estimator = open_estimator("demo")
    asked = AUVector.stack([reading.aus for reading in estimator.estimate(pictures)])
    codes, _ = edited(network, inverted(wplus, trials, trials.source), asked)
    return {
        "nothing done": reader.scores(made.unchanged, wanted),
        "AUEditNet, the picture itself": reader.scores(made.transferred, wanted),
        f"AUEditNet, AUs by the {estimator.name}": reader.scores(
            drawn(wplus.generator, codes), wanted
        ),
    }


def other_methods(trials: Trials, held_out: Path, wplus: WPlus, size: Size) -> dict[str, Tensor]:
    """Method -> its edits of the first photos, cut out as AUEditNet sees faces. A method whose
    files are not there is left out, and the log says so."""
    faces = load(held_out)
    quads = quads_of_renders(faces, wplus.framing)
    side, found = wplus.generator.config.size, {}
    for name, method in OTHERS.items():
        try:
            editor = open_editor(method, **size.others)
        except FileNotFoundError as error:
            LOGGER.warning("%s is left out: %s", name, error)
            continue
        pictures = []
        for trial in range(size.photos):
            row = int(trials.source[trial])
            photo = torch.from_numpy(faces.images[row])[None].float() / 255
            picture = _edit(editor, photo, trials, trial)
            pictures.append(cut_quad(picture[0], quads[row], side))
        found[name] = torch.stack(pictures)
    return found


def _edit(editor: Editor, photo: Tensor, trials: Trials, trial: int) -> Tensor:
    """A photo with the AUs of its trial's target; the photo's own are known from their making."""
    here = torch.tensor([trial])
    wanted = trials.aus(trials.target[here])
    request = for_editor(editor, wanted, "absolute", lambda: trials.aus(trials.source[here]))
    return editor.open(photo).edit(request, seed=trial)


def table_4(
    reader: Judge, wplus: WPlus, size: Size, shop: Shop, work: Path
) -> dict[str, dict[str, float]]:
    """Ablations, each trained alike: target's ICC and MSE, and MSE without AUs."""
    stage, trials = STAGES["aueditnet"], reader.trials
    networks = {"wplus": shop.result("wplus_sharp"), "estimator": shop.result("teacher")}
    target, relaxed = (trials.faces.aus[rows] for rows in (trials.target, trials.neutral))
    found = {}
    for name, changes in ABLATIONS.items():
        options = {**stage.options, "neutral_weight": 0.0, **changes}
        folder = work / name.replace(" ", "_").replace(",", "")
        data = [shop.renders("scenes")]
        result = train("aueditnet", data, folder, **size.training, **networks, **options)
        made = make_edits(wplus, load_aueditnet(result).network, trials)
        scores = reader.scores(made.edited, target)
        neutral = reader.scores(made.relaxed, relaxed)
        found[name] = {"mse": scores["mse"], "icc": scores["icc"], "neutral_mse": neutral["mse"]}
    return found


@click.command()
@click.option("--size", type=click.Choice(tuple(SIZES)), default="evening")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_output,
    help="Where `tools.train_bundled` left renders and results.",
)
def main(size: str, work: Path) -> None:
    """Write results/aueditnet_tables_SIZE.{json,md}."""
    logging.basicConfig(format="%(message)s")
    found = run(SIZES[size], Shop(work), RESULTS, f"aueditnet_tables_{size}")
    click.echo(json.dumps(found["table 1"]["AUEditNet"], indent=1))
    click.echo((RESULTS / f"aueditnet_tables_{size}.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
