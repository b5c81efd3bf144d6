"""Writes data sets of labelled renders as tar shards (WebDataset layout), resumable."""

from __future__ import annotations

import json
import logging
import tarfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...disk import damage_named, full_disk_said, read_json, remove_abandoned, write_json
from ..card import CARD, WORK, count_folder, count_labels, counts_path
from ..pictures import file_of
from ..shards import new_shard, shard_path
from . import sample
from .captions import caption
from .head import check_model
from .renderer import Render, Renderer
from .sample import Expression, Person, Scene

LOGGER = logging.getLogger("au_adapter")
BOXES = {"left_eye": (42, 48), "right_eye": (36, 42), "brows": (17, 27), "mouth": (48, 68)}


@dataclass(frozen=True)
class Job:
    """Everything a picture depends on, but its index.

    size: pixels of a side. expressions: one of EXPRESSIONS. first_identity: number of the first
    person. shard_size: pictures of a shard. neutral_first: an identity's first picture has a
    relaxed face, whatever the expressions: a reference for the others. pose_spread: how far heads
    and eyes turn away from the camera, 0..1. units: the AUs that "au", "full" and "sided" draw
    from; none means set A and all that can be rendered. one_scene: all pictures of an identity have
    one pose, light and background, as frames of a video, and their labels its number.
    """

    model_path: str
    output: str
    count: int
    size: int = 128
    seed: int = 0
    expressions: str = "au"
    first_identity: int = 0
    images_per_identity: int = 4
    shard_size: int = 500
    neutral_first: bool = False
    pose_spread: float = 1.0
    units: tuple[int, ...] = ()
    one_scene: bool = False


def render_dataset(
    model_path: str | Path, output: str | Path, count: int, workers: int = 1, **settings: Any
) -> list[Path]:
    """Render count labelled pictures into output/shard-*.tar; returns the shards' paths.

    Finished shards are left as they are: an interrupted run goes on where it stopped, and a
    larger count extends a folder. Its data card, card.json, counts what all of its shards show.
    settings: of `Job`. A picture depends on (seed, index, settings) alone, whatever the number of
    workers.
    Raises FileNotFoundError without the model, ValueError for settings that differ from those
    of the shards already there, RuntimeError without OpenGL, OSError with what to do when the disk
    is full.
    """
    settings["units"] = tuple(settings.get("units", ()))
    job = Job(str(model_path), str(output), count, **settings)
    sample.check_expressions(job.expressions, job.units)
    if min(count, workers, job.images_per_identity, job.shard_size) < 1 or job.size < 16:
        raise ValueError(
            f"count ({count}), workers ({workers}), images_per_identity "
            f"({job.images_per_identity}) and shard_size ({job.shard_size}) must be at least 1, "
            f"size ({job.size}) at least 16"
        )
    if not 0 <= job.pose_spread <= 1:
        raise ValueError(f"pose_spread must be from 0 to 1, found {job.pose_spread}")
    check_model(Path(model_path))
    folder = Path(output)
    with full_disk_said(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _check_settings(job, folder)
        (folder / WORK).mkdir(exist_ok=True)
        remove_abandoned(folder)
        shards = range((count + job.shard_size - 1) // job.shard_size)
        if missing := [shard for shard in shards if not _is_whole(job, shard)]:
            (folder / CARD).unlink(missing_ok=True)  # it is not true while shards change
            _work(job, missing, workers)
        write_json(folder / CARD, count_folder(folder))
        return [shard_path(folder, shard) for shard in shards]


def _check_settings(job: Job, folder: Path) -> None:
    settings = {k: v for k, v in vars(job).items() if k not in ("model_path", "output", "count")}
    path = folder / "settings.json"
    if path.exists():
        older = {"pose_spread": 1.0, "units": [], "one_scene": False}  # not named in older folders
        with damage_named(path, "Delete it, and give the settings that the renders were made with"):
            found = {**older, **read_json(path)}
        if found != json.loads(json.dumps(settings)):
            raise ValueError(
                f"{folder} holds renders made with {found}, not {settings}: choose another "
                "folder, or delete this one"
            )
        return
    write_json(path, settings)


def _span(job: Job, shard: int) -> range:
    return range(shard * job.shard_size, min((shard + 1) * job.shard_size, job.count))


def _is_whole(job: Job, shard: int) -> bool:
    """Whether a shard holds all its pictures; an earlier run with a smaller count cut it short."""
    path = shard_path(Path(job.output), shard)
    if not path.exists():
        return False
    advice, also = "Delete it, and it is made again", (tarfile.TarError,)
    with damage_named(path, advice, also), tarfile.open(path, "r:") as tar:
        return len(tar.getnames()) >= 3 * len(_span(job, shard))


def _work(job: Job, shards: list[int], workers: int) -> None:
    if workers == 1 or len(shards) < 2:
        renderer = Renderer(job.model_path, job.size)
        for shard in shards:
            _write_shard(renderer, job, shard)
        return
    with ProcessPoolExecutor(
        min(workers, len(shards)), get_context("spawn"), _start_worker, (job,)
    ) as pool:
        for shard in pool.map(_write_in_worker, shards):
            LOGGER.info("shard %d of %s is written", shard, job.output)


_WORKER: dict = {}


def _start_worker(job: Job) -> None:
    _WORKER["job"], _WORKER["renderer"] = job, Renderer(job.model_path, job.size)


def _write_in_worker(shard: int) -> int:
    _write_shard(_WORKER["renderer"], _WORKER["job"], shard)
    return shard


def _write_shard(renderer: Renderer, job: Job, shard: int) -> None:
    """Render one shard. The file appears when it is complete; its counts are written after it."""
    path, labels = shard_path(job.output, shard), []
    counts_path(path).unlink(missing_ok=True)  # of the shard with fewer pictures
    with new_shard(path) as add:
        for index in _span(job, shard):
            files = render_files(renderer, job, index)
            for name, content in files:
                add(name, content)
            labels.append(json.loads(files[-1][1]))
    write_json(counts_path(path), count_labels(labels))


def render_files(renderer: Renderer, job: Job, index: int) -> list[tuple[str, bytes]]:
    """The three files of one picture: (name, content) of png, mask.png and json."""
    person, scene, expression, rng = draw_parameters(renderer, job, index)
    drawn = renderer.render(person, scene, expression)
    key = f"{job.seed:04d}-{index:07d}"
    about = {"key": key, "seed": job.seed, "index": index}
    about |= render_label(person, scene, expression, drawn)
    if job.one_scene:
        about["scene"] = person.identity
    about["caption"] = caption(person, scene, expression, rng)
    pictures = map(Image.fromarray, (drawn.image, drawn.mask))
    image, mask = (file_of(picture, "PNG", compress_level=3) for picture in pictures)
    label = json.dumps(about).encode()
    return [(f"{key}.png", image), (f"{key}.mask.png", mask), (f"{key}.json", label)]


def draw_parameters(
    renderer: Renderer, job: Job, index: int
) -> tuple[Person, Scene, Expression, np.random.Generator]:
    """Person, scene and expression of a picture, and the generator that draws its caption next."""
    identity = job.first_identity + index // job.images_per_identity
    person = sample.sample_person(identity, renderer.model.masculine)
    rng = np.random.default_rng([job.seed, index, 11])
    mode = job.expressions
    if job.neutral_first and index % job.images_per_identity == 0:
        mode = "neutral"
    of_scene = np.random.default_rng([job.seed, identity, 13]) if job.one_scene else rng
    scene = sample.sample_scene(of_scene, job.pose_spread)
    return person, scene, sample.sample_expression(rng, mode, job.units), rng


def render_label(person: Person, scene: Scene, expression: Expression, drawn: Render) -> dict:
    """The label of one picture; pixels are x right, y down, left and right the subject's."""
    points = drawn.landmarks
    return {
        "identity": person.identity,
        "units": _numbers(expression.units()),
        "left": _numbers(expression.left),
        "right": _numbers(expression.right),
        "pose": {"yaw": round(scene.yaw, 3), "pitch": round(scene.pitch, 3),
                 "roll": round(scene.roll, 3), "gaze": [round(g, 4) for g in scene.gaze]},
        "landmarks": np.round(points, 2).tolist(),
        "jaw": np.round(drawn.jaw, 2).tolist(),
        "boxes": {name: _box(points[a:b], len(drawn.image)) for name, (a, b) in BOXES.items()},
        "appearance": sample.appearance_words(person, scene),
    }  # fmt: skip


def _numbers(units: dict[int, float]) -> dict[str, float]:
    return {str(unit): round(value, 4) for unit, value in units.items()}


def _box(points: np.ndarray, size: int, margin: float = 0.22) -> list[float]:
    """x0, y0, x1, y1 around points, widened by a share of their mean side, inside the picture."""
    low, high = points.min(0), points.max(0)
    wide = margin * (high - low).mean()
    box = np.clip([*(low - wide), *(high + wide)], 0, size)
    return [round(float(v), 2) for v in box]
