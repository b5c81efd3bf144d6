"""AUEditNet's tables at a tiny size: every row, and what is said of what cannot be measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_demo import write_demo
from tiny_wplus import write_ours

from au_adapter.bundled import FOLDER_VARIABLE
from au_adapter.facs import SET_A
from au_adapter.models.regressor import AURegressor
from au_adapter.models.siamese import SiameseAU, SiameseConfig
from au_adapter.weights.aueditnet_files import save_siamese
from benchmarks.aueditnet_tables import ABLATIONS, GOOGLE, SIZES, Shop, run
from tools import face_files
from tools.sample_faces import few_faces


def write_shop(output: Path) -> Shop:
    """Renders, and networks of random weights where `tools.train_bundled` leaves trained ones."""
    shop = Shop(output)
    for draw in ("scenes", "held_out_scenes"):
        few_faces(shop.renders(draw))
    both, editor = write_ours(output)
    for stage, file in (("wplus_sharp", both), ("aueditnet", editor)):
        shop.result(stage).mkdir(parents=True)
        file.rename(shop.result(stage) / file.name)
    for stage, backbone in (("teacher", "vgg16"), ("judge", "resnet50")):
        share = {"share": 0.05} if backbone == "vgg16" else {}
        torch.manual_seed(2)
        network = SiameseAU(SiameseConfig(backbone=backbone, size=32, hidden=8, **share)).eval()
        save_siamese(network, shop.result(stage) / "siamese.safetensors")
    return shop


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    demo, results = tmp_path_factory.mktemp("demo"), tmp_path_factory.mktemp("results")
    write_demo(demo)
    regressor = AURegressor()
    metadata = {"au_regressor": json.dumps({"units": regressor.units, "size": regressor.size})}
    save_file(regressor.state_dict(), demo / "regressor.safetensors", metadata=metadata)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(FOLDER_VARIABLE, str(demo))
        for variable, file in GOOGLE.items():  # as the run does, but not for other tests
            environment.setenv(variable, str(face_files.MODELS / file))
        shop = write_shop(tmp_path_factory.mktemp("shop"))
        return run(SIZES["smoke"], shop, results, "tiny"), results


def test_every_row_is_measured(found: tuple[dict, Path]) -> None:
    tables, _ = found
    rows = tables["table 1"]
    assert {"AUEditNet", "AUEditNet (N)", "MagicFace", "FineFace + SDEdit"} <= rows.keys()
    assert {*rows["AUEditNet"]["units"]} == {*map(str, SET_A)}
    assert rows["AUEditNet"]["pictures"] == 3 and rows["MagicFace"]["pictures"] == 1
    assert tables["table 2"]["AUEditNet"]["real"]["l2"] > 0
    assert len(tables["table 3"]["curve"]) == 8
    assert tables["table 4"].keys() == ABLATIONS.keys()
    assert len(tables["transfer"]) == 3


def test_the_target_itself_is_no_way_from_itself(found: tuple[dict, Path]) -> None:
    tables, _ = found
    inverted = tables["table 2"]["GAN inversion"]
    assert inverted["inverted"]["l2"] < inverted["real"]["l2"]


def test_the_report_has_all_tables_and_says_what_is_missing(found: tuple[dict, Path]) -> None:
    _, results = found
    text = (results / "tiny.md").read_text()
    for title in ("Table 1", "Table 2", "Table 3", "Table 4", "somebody else"):
        assert f"{title}" in text
    assert "identity is not measured: needs a face recognition network" in text
    assert all(f"| {name} |" in text for name in ABLATIONS)
    assert json.loads((results / "tiny.json").read_text())["schema"] == 1
