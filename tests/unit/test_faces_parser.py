"""BiSeNet from a file: its backbone against torchvision's, its classes, files of other kinds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from face_parsing import all_of_class
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import resnet18

from au_adapter.faces import FaceParser
from au_adapter.faces.parser import BACKGROUND, BiSeNet, ResNet18


def stir(network: nn.Module) -> nn.Module:
    """Statistics as after training, so that a forgotten normalisation shows."""
    torch.manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


@torch.no_grad()
def test_the_backbone_is_resnet_18() -> None:
    known = stir(resnet18(weights=None))
    own = ResNet18().eval()
    own.load_state_dict({k: v for k, v in known.state_dict().items() if not k.startswith("fc.")})
    pictures = torch.randn(2, 3, 64, 96)
    last = own(pictures)[-1]
    assert torch.allclose(known.fc(last.mean((2, 3))), known(pictures), atol=1e-5)


def test_its_tensors_are_those_of_the_published_file() -> None:
    network = BiSeNet()
    assert len(network.state_dict()) == 191
    assert sum(parameter.numel() for parameter in network.parameters()) == 13_300_416


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize(("number", "person", "face"), [(0, 0, 0), (17, 1, 0), (10, 1, 1)])
def test_hair_is_a_person_but_no_face(
    ending: str, number: int, person: int, face: int, tmp_path: Path
) -> None:
    parser = FaceParser(write(all_of_class(number), tmp_path / f"parser{ending}"))
    pictures = torch.rand(2, 40, 30, 3)
    assert (parser.classes(pictures) == number).all()
    assert (parser.person(pictures) == person).all() and (parser.face(pictures) == face).all()


def test_a_picture_that_is_not_finite_is_background(tmp_path: Path) -> None:
    pictures = torch.rand(2, 16, 16, 3)
    pictures[1, 0, 0] = torch.nan
    parser = FaceParser(write(all_of_class(17), tmp_path / "parser.pth"))
    assert parser.classes(pictures)[:, 0, 0].tolist() == [17, BACKGROUND]


def test_a_file_of_something_else(tmp_path: Path) -> None:
    path = write({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"is not BiSeNet .*: 1 tensors, 191 expected"):
        FaceParser(path)


def test_a_pickle_with_code_in_it_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"weight": Path("x")}, path)
    with pytest.raises(ValueError, match="could run code, so it was not opened"):
        FaceParser(path)


def write(tensors: dict[str, Tensor], path: Path) -> Path:
    """A file of tensors, of the kind that its ending says."""
    save = save_file if path.suffix == ".safetensors" else torch.save
    save(tensors, path)
    return path
