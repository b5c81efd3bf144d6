"""LPIPS through its authors' package; the backbone is for the user to bring."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from . import checks

Network = Callable[[Tensor, Tensor], Tensor]
BATCH = 16
UNREADABLE = (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, OSError)
BACKBONES = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}


def lpips(images: Tensor, references: Tensor, network: Network | None = None) -> Tensor:
    """Learned perceptual distance, about 0..1, float32 [N]; 0 is the same picture.

    images, references: [N, H, W, 3] in 0..1. network: from two batches [N, 3, H, W] in -1..1 to N
    distances, as `lpips_network` makes it. Zhang et al. 2018, Eq. 1; in AUEditNet against the real
    target picture, on a backbone that it does not name; name yours.
    """
    if network is None:
        raise ValueError(
            "lpips needs a network: give `network=lpips_network(FILE)`, FILE being torchvision's "
            "ImageNet weights of alexnet, or another function of two batches [N, 3, H, W] in -1..1"
        )
    for side in (images, references):
        checks.pictures("lpips", side)
    if images.shape != references.shape:
        raise ValueError(
            f"lpips compares pictures of one size, found {list(images.shape)} and "
            f"{list(references.shape)}"
        )
    pairs = zip(images.split(BATCH), references.split(BATCH), strict=True)
    with torch.no_grad():
        parts = [network(_signed(first), _signed(second)) for first, second in pairs]
    return torch.cat([part.reshape(-1) for part in parts]).float().cpu()


def lpips_network(backbone: str | Path, net: str = "alex") -> nn.Module:
    """The published LPIPS on a backbone file of the user, ready for `lpips`.

    backbone: torchvision's ImageNet weights as its own .pth, for net "alex", "vgg" or "squeeze"
    (alexnet, vgg16, squeezenet1_1). The calibrated heads (version 0.1) are in the package `lpips`;
    nothing is downloaded. ValueError for the weights of another network.
    """
    if net not in BACKBONES:
        raise ValueError(f"LPIPS has no backbone '{net}': choose one of {', '.join(BACKBONES)}")
    if not Path(backbone).is_file():
        raise FileNotFoundError(f"there is no file of weights {backbone}")
    package, kind = checks.optional("lpips_network", "lpips"), BACKBONES[net]
    try:
        weights = torch.load(backbone, map_location="cpu", weights_only=True)
    except (*UNREADABLE, pickle.UnpicklingError):
        weights = None
    if not isinstance(weights, dict):
        raise ValueError(
            f"{backbone} is no file of weights as torchvision saves {kind}: give its own .pth"
        )
    # A random trunk asks for no download. Its slice1.0.weight is torchvision's features.0.weight.
    model = package.LPIPS(net=net, pnet_rand=True, verbose=False).eval().requires_grad_(False)
    ours = model.net.state_dict()
    theirs = {name: weights.get("features." + name.partition(".")[2]) for name in ours}
    wrong = [n for n, value in ours.items() if getattr(theirs[n], "shape", None) != value.shape]
    if wrong:
        raise ValueError(
            f"{backbone} does not hold torchvision's {kind}, the backbone of net='{net}': "
            f"{len(wrong)} of {len(ours)} tensors are missing or of another shape"
        )
    model.net.load_state_dict(theirs)
    return model


def _signed(images: Tensor) -> Tensor:
    """[N, H, W, 3] in 0..1 -> [N, 3, H, W] in -1..1."""
    return images.permute(0, 3, 1, 2) * 2 - 1
