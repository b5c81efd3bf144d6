"""Protocols: exact counts, the same rows every time, resume, processes, what is counted."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import PartialState
from two_processes import in_two_processes

from au_adapter.estimators.reading import Reading
from au_adapter.evaluation.protocol_run import read_rows, run_protocol
from au_adapter.evaluation.protocols import NAMES, Frame, Protocol, load_protocol
from au_adapter.evaluation.records import Request
from au_adapter.evaluation.report import report_run
from au_adapter.facs import SET_A, AUVector

PHOTOS = [f"person{i}.png" for i in range(20)]
SMALL = {
    "schema": 1,
    "name": "small",
    "title": "Small",
    "scale": "absolute",
    "units": [4, 12],
    "levels": [1, 3],
    "seed": 7,
    "prompts": ["a woman", "a man"],
    "combinations": ["4B+12C"],
}


@pytest.fixture
def small(tmp_path: Path) -> Protocol:
    path = tmp_path / "small.json"
    path.write_text(json.dumps(SMALL), encoding="utf-8")
    return load_protocol(path)


def paint(rows: Sequence[Request]) -> torch.Tensor:
    """Pictures 2x2 whose first values are AU4 and AU12 over 5."""
    images = torch.zeros(len(rows), 2, 2, 3)
    for image, row in zip(images, rows, strict=True):
        image[0, 0, 0], image[0, 0, 1] = (row.requested.get(u, 0) / 5 for u in ("4", "12"))
    return images


def read(images: torch.Tensor) -> list[Reading]:
    """Sees half of what is shown; sees no face at AU4 = 3 and two faces at AU12 = 3."""
    readings = []
    for i, image in enumerate(images):
        four, twelve = (image[0, 0, :2] * 5).round().tolist()
        vector = AUVector((4, 12), torch.tensor([[four / 2, twelve / 2]]))
        faces = 0 if four == 3 else 2 if twelve == 3 else 1
        # The second face, less sure, must not be the one that is read.
        for face in reversed(range(faces)):
            readings.append(Reading(i, face, (0, 0, 2, 2), 0.9 - face / 2, vector * (1 - face)))
    return readings


def read_records(output: Path) -> list[dict]:
    """The rows as their lines hold them."""
    return [row.json() for row in read_rows(output)]


def run(protocol: Protocol, output: Path, **options) -> list[dict]:
    options = {"estimator": "half", **options}
    return read_records(run_protocol(protocol, paint, read, output, **options))


def test_fineface_counts() -> None:
    protocol = load_protocol("fineface")
    assert Counter(row.group for row in protocol.rows) == {"single": 900, "combination": 750}
    assert len(protocol.rows) == 1650 and len(protocol.references) == 15
    assert len({row.id for row in (*protocol.rows, *protocol.references)}) == 1665
    assert len({row.prompt for row in protocol.rows}) == 15
    assert Counter(len(row.requested) for row in protocol.rows)[1] == 900


def test_magicface_counts() -> None:
    protocol = load_protocol("magicface", photos=PHOTOS)
    groups = Counter(row.group for row in protocol.rows)
    assert groups == {"single": 20 * 12 * 5, "combination": 20 * 387}
    assert len(protocol.rows) == 8940 == len({row.id for row in protocol.rows})
    assert [row.source for row in protocol.references] == PHOTOS
    assert protocol.scale == "change"


def frames(subjects: int = 9, count: int = 120) -> list[Frame]:
    return [
        Frame(f"s{s}/{i}.png", f"s{s}", {"12": float(i % 6)})
        for s in range(subjects)
        for i in range(count)
    ]


def test_aueditnet_pairs_frames_of_one_person() -> None:
    protocol = load_protocol("aueditnet", frames=frames())
    assert Counter(row.group for row in protocol.rows) == {"target": 900, "removal": 900}
    labels = {frame.file: frame.aus["12"] for frame in frames()}
    for row in protocol.rows:
        assert tuple(map(int, row.requested)) == SET_A
        if row.group == "target":
            assert row.source != row.target and row.source[:2] == row.target[:2]
            assert row.requested["12"] == labels[row.target]
        else:
            assert not any(row.requested.values()) and not row.target
    shuffled = load_protocol("aueditnet", frames=reversed(frames()))
    assert shuffled.rows == protocol.rows


def test_labels_of_one_side_are_asked_for_on_that_side() -> None:
    labels = AUVector.parse("L12E+R12C+6B+43E").dict()
    protocol = load_protocol("aueditnet", frames=[Frame(f"{i}.png", "a", labels) for i in (0, 1)])
    wanted, removal = (protocol.rows[i].requested for i in (0, 1))
    assert {code: value for code, value in wanted.items() if value} == {
        "6": 2.0, "L12": 5.0, "R12": 3.0,
    }  # fmt: skip
    assert "25" in wanted and not any(removal.values())
    assert tuple(map(int, removal)) == SET_A


@pytest.mark.parametrize("name", ["fineface", "magicface"])
def test_every_unit_and_level_is_asked_for_alike(name: str) -> None:
    protocol = load_protocol(name, photos=PHOTOS)
    combinations = [row.requested for row in protocol.rows if row.group == "combination"]
    units = Counter(unit for asked in combinations for unit in asked)
    assert {*units} == {str(unit) for unit in SET_A}
    assert max(units.values()) < 1.1 * min(units.values())
    levels = Counter(level for asked in combinations for level in asked.values())
    assert {*levels} == {1, 2, 3, 4, 5}
    assert max(levels.values()) < 1.1 * min(levels.values())


def test_the_same_rows_every_time_and_seeds_by_prompt() -> None:
    first, second = load_protocol("fineface"), load_protocol("fineface")
    assert first.fingerprint() == second.fingerprint()
    assert {row.prompt: row.seed for row in first.rows} == {
        row.prompt: row.seed for row in first.references
    }
    assert len({row.seed for row in first.rows}) == 15


def test_every_protocol_says_what_the_paper_leaves_open() -> None:
    for name in NAMES:
        protocol = load_protocol(name, photos=PHOTOS, frames=frames(1, 3))
        assert protocol.ours and protocol.published["estimator"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: load_protocol("fine"), "aueditnet, fineface, magicface"),
        (lambda: load_protocol("magicface"), "20 different photos.*found 0"),
        (lambda: load_protocol("magicface", photos=["a.png"] * 20), "found 1"),
        (lambda: load_protocol("aueditnet"), "labelled frames"),
        (lambda: load_protocol("aueditnet", frames=frames(1, 1)), "s0 has one frame"),
        (lambda: load_protocol(Path(__file__).parents[2] / "workflows"), "no protocol"),
    ],
)
def test_errors_say_what_is_wrong(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_another_json_is_no_protocol(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"schema": 1}', encoding="utf-8")
    with pytest.raises(ValueError, match="x.json is no protocol"):
        load_protocol(tmp_path / "x.json")


def test_a_run_writes_every_row_and_counts_faces(small: Protocol, tmp_path: Path) -> None:
    records = run(small, tmp_path / "run", batch_size=2)
    assert [record["id"] for record in records][:3] == ["01_reference", "02_reference", "01_4A"]
    assert len(records) == 2 + 2 * (2 * 2 + 1)
    by_id = {record["id"]: record for record in records}
    assert by_id["01_4A"]["measured"] == {"4": 0.5, "12": 0.0}
    assert by_id["01_4C"]["measured"] is None and by_id["01_4C"]["faces"] == 0
    # Two faces: the sure one is read.
    assert by_id["02_12C"]["faces"] == 2 and by_id["02_12C"]["measured"]["12"] == 1.5
    assert by_id["02_4B+12C"]["requested"] == {"4": 2.0, "12": 3.0}
    assert by_id["02_12C"]["seed"] == 9 and by_id["02_12C"]["prompt"] == "a man"


def test_sides_asked_for_apart_are_kept_and_scored_apart(tmp_path: Path) -> None:
    path = tmp_path / "sides.json"
    path.write_text(json.dumps({**SMALL, "combinations": ["4B+L12C"]}), encoding="utf-8")
    left, right = torch.tensor([[2.0, 0.0]]), torch.tensor([[2.0, 3.0]])

    def wrong_side(images: torch.Tensor) -> list[Reading]:
        vector = AUVector((4, 12), left, left, right)
        return [Reading(i, 0, (0, 0, 2, 2), 0.9, vector) for i in range(len(images))]

    output = tmp_path / "run"
    run_protocol(load_protocol(path), paint, wrong_side, output, estimator="sided")
    assert read_records(output)[0]["measured"] == {"4": 2.0, "L12": 0.0, "R12": 3.0}
    line = next(x for x in report_run(output).lines if x.group == "combination")
    assert (line.metric, line.value, line.count) == ("au_mse", pytest.approx(6.0), 2)
    run(load_protocol(path), tmp_path / "other")
    missing = report_run(tmp_path / "other").header.not_measured
    assert missing == {"L12 and R12": "half reads no sides, and their mean is scored"}


def test_a_stopped_run_goes_on_where_it_was(small: Protocol, tmp_path: Path) -> None:
    whole = run(small, tmp_path / "whole")
    made = []

    def tiring(rows: Sequence[Request]) -> torch.Tensor:
        if len(made) == 5:
            raise KeyboardInterrupt
        made.extend(row.id for row in rows)
        return paint(rows)

    output = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_protocol(small, tiring, read, output, estimator="half")
    assert len(read_records(output)) == 5
    # A kill in the middle of a line.
    with (output / "rows-0.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "01_4B+12C", "gro')
    assert len(read_records(output)) == 5
    made.clear()
    assert run(small, output) == whole
    # Nothing is made twice.
    run_protocol(small, tiring, read, output, estimator="half")
    assert made == []


def test_processes_share_the_rows_and_may_change_in_number(small: Protocol, tmp_path: Path) -> None:
    whole = {record["id"]: record for record in run(small, tmp_path / "whole")}
    output = tmp_path / "run"
    for index in (2, 0):
        run(small, output, process=(index, 3))
    assert 0 < len(read_records(output)) < len(whole)
    records = run(small, output)  # one process does what is left
    assert {record["id"]: record for record in records} == whole
    assert sum(len(p.read_text().splitlines()) for p in output.glob("rows-*")) == len(whole)


def test_two_processes_of_accelerate(small: Protocol, tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(
        "import sys; from pathlib import Path\n"
        f"sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[2])]}\n"
        "from test_protocols import load_protocol, run\n"
        "run(load_protocol(Path('small.json')), Path('run'))\n",
        encoding="utf-8",
    )
    in_two_processes([sys.executable, "worker.py"], cwd=tmp_path)
    files = [tmp_path / "run" / f"rows-{index}.jsonl" for index in (0, 1)]
    assert [len(file.read_text().splitlines()) for file in files] == [6, 6]
    assert len(read_records(tmp_path / "run")) == 12


def test_processes_that_do_not_know_of_each_other(
    small: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(PartialState, "_shared_state", {})  # other tests keep theirs
    with pytest.raises(RuntimeError, match="2 processes were launched, but accelerate sees 1"):
        run(small, tmp_path / "run")


def test_a_reference_is_never_made_together_with_its_rows(tmp_path: Path) -> None:
    """With one prompt, as in a short trial, its rows follow right behind it."""
    path = tmp_path / "one.json"
    path.write_text(json.dumps({**SMALL, "prompts": ["a man"]}), encoding="utf-8")
    batches = []

    def generate(rows: Sequence[Request]) -> torch.Tensor:
        batches.append([row.group == "reference" for row in rows])
        return paint(rows)

    output = tmp_path / "run"
    run_protocol(load_protocol(path), generate, read, output, estimator="half", batch_size=8)
    assert batches == [[True], [False] * 5]


def test_compare_gets_the_reference_of_each_row(small: Protocol, tmp_path: Path) -> None:
    asked = []

    def compare(images: torch.Tensor, references: torch.Tensor, rows: Sequence[Request]) -> dict:
        asked.append([row.id for row in rows])
        assert references.shape == images.shape and not references.any()
        values = images.sum((1, 2, 3))
        values[images[:, 0, 0, 1] > 0.5] = torch.nan
        return {"light": values}

    records = run(small, tmp_path / "run", compare=compare, batch_size=3)
    by_id = {record["id"]: record for record in records}
    assert "metrics" not in by_id["01_reference"]
    assert by_id["01_4A"]["metrics"] == {"light": pytest.approx(0.2)}
    assert by_id["01_12C"]["metrics"] == {"light": None}
    assert asked[0] == ["01_4A", "01_4C", "01_12A"] and asked[1] == ["01_12C", "01_4B+12C"]


def test_pictures_that_are_not_finite_are_named_and_the_others_measured(
    small: Protocol, tmp_path: Path
) -> None:
    broken = {"01_4A": torch.nan, "01_12A": torch.inf, "02_reference": -torch.inf}

    def overflowing(rows: Sequence[Request]) -> torch.Tensor:
        images = paint(rows)
        for image, row in zip(images, rows, strict=True):
            image[1, 1, 2] = broken.get(row.id, 0.0)
        return images

    def careful(images: torch.Tensor) -> list[Reading]:
        assert images.isfinite().all()
        return read(images)

    def compare(images: torch.Tensor, references: torch.Tensor, rows: Sequence[Request]) -> dict:
        assert images.isfinite().all() and references.isfinite().all()
        assert not {row.id for row in rows} & {*broken} and len(rows) == len(images)
        return {"light": images.sum((1, 2, 3))}

    output = tmp_path / "run"
    options = {"estimator": "half", "compare": compare, "batch_size": 3}
    run_protocol(small, overflowing, careful, output, **options)
    by_id = {record["id"]: record for record in read_records(output)}
    assert len(by_id) == 12 and not by_id["01_4A"]["finite"] and by_id["01_4A"]["faces"] is None
    assert by_id["01_4C"]["metrics"] == {"light": pytest.approx(0.6)}
    assert by_id["01_4A"]["metrics"] == {"light": None}
    assert by_id["02_4A"]["metrics"] == {} and by_id["02_4A"]["measured"]["4"] == 0.5
    report = report_run(output)
    assert report.counts["not finite"] == 2 and report.counts["not finite in the reference"] == 1
    assert report.counts["face not found"] == 2 and report.counts["missing"] == 0
    assert {*json.loads(report.json())["not_finite"]} == {*broken}
    assert "| not finite | 2 |" in report.markdown() and "01_12A" in report.markdown()


def test_faces_turned_away_are_counted(small: Protocol, tmp_path: Path) -> None:
    def turning(images: torch.Tensor) -> list[Reading]:
        """Turned by 50 degrees where AU12 is shown; a second face, less sure, always is."""
        return [
            replace(r, turn=50.0 if r.face or images[r.image, 0, 0, 1] > 0 else 39.0)
            for r in read(images)
        ]

    output = tmp_path / "run"
    run_protocol(small, paint, turning, output, estimator="half")
    by_id = {record["id"]: record for record in read_records(output)}
    assert by_id["01_12A"]["turned"] and not by_id["01_4A"]["turned"]
    counts = report_run(output).counts
    assert counts["turned further than 40 degrees, the AUs a guess"] == 6
    assert counts["turned further than 40 degrees, the AUs a guess, in the reference"] == 0


def test_a_folder_holds_one_run(small: Protocol, tmp_path: Path) -> None:
    run(small, tmp_path / "run")
    with pytest.raises(ValueError, match="its estimator is 'half', this one's is 'other'"):
        run(small, tmp_path / "run", estimator="other")
    with pytest.raises(ValueError, match="its settings is"):
        run(small, tmp_path / "run", settings={"strength": 0.5})


def test_what_generate_and_estimate_may_not_do(small: Protocol, tmp_path: Path) -> None:
    def stray(images: torch.Tensor) -> list[Reading]:
        return [Reading(5, 0, (0, 0, 1, 1), 1.0, AUVector.zeros((4, 12)))]

    for generate, estimate, words in (
        (lambda rows: torch.zeros(3, 2, 2, 3), read, "1 pictures were asked for.*but 3 came"),
        (lambda rows: torch.full((1, 2, 2, 3), 255.0), read, "from 0 to 1"),
        (paint, stray, "picture 5, but it was given 1"),
    ):
        with pytest.raises(ValueError, match=words):
            run_protocol(small, generate, estimate, tmp_path / "run", estimator="half")


def test_a_damaged_line_is_named(small: Protocol, tmp_path: Path) -> None:
    run(small, tmp_path / "run")
    path = tmp_path / "run" / "rows-0.jsonl"
    path.write_text(path.read_text().replace('{"id": "02_reference"', "{"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"rows-0.jsonl is damaged.* Delete its line 2,"):
        read_records(tmp_path / "run")
