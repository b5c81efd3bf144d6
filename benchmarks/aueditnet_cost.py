"""What AUEditNet costs at full size on a processor: e4e and a StyleGAN2 of 1024 pixels with random
weights, loaded from a file in the published layout, edit one photo.

    python -m benchmarks aueditnet_cost
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import torch

from au_adapter.estimators.picture_files import read_picture
from au_adapter.facs import AUVector
from au_adapter.methods import open_editor
from au_adapter.models.aueditnet import AUEditNet, AUEditNetConfig
from au_adapter.models.e4e import E4E, E4EConfig
from au_adapter.models.stylegan2 import StyleGAN2, published_config
from au_adapter.weights.aueditnet_files import save_aueditnet
from au_adapter.weights.tensors import weights_name
from tools import face_files

RESULTS = Path(__file__).parent / "results"
PHOTO = "astronaut.png"


def main() -> None:
    """Write results/aueditnet_cost.md."""
    with tempfile.TemporaryDirectory() as folder:
        generator, editor = write_files(Path(folder))
        seconds, peak = measure(generator, editor)
    lines = [
        "# What AUEditNet costs at full size",
        "",
        f"`python -m benchmarks aueditnet_cost`, {torch.get_num_threads()} threads of a processor: "
        "StyleGAN2 of 1024 pixels, e4e and AUEditNet of the published sizes with random weights.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {what}, seconds | {value:.1f} |" for what, value in seconds.items()),
        f"| most memory, GB | {peak:.1f} |",
        "",
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "aueditnet_cost.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


def write_files(folder: Path) -> tuple[Path, Path]:
    """e4e_ffhq_encode.pt and an editor, of random weights."""
    torch.manual_seed(0)
    generator, encoder = StyleGAN2(published_config(1024)), E4E(E4EConfig())
    tensors = {f"encoder.{name}": t for name, t in encoder.state_dict().items()}
    tensors |= {f"decoder.{name}": t for name, t in generator.state_dict().items()}
    both = folder / "e4e_ffhq_encode.pt"
    torch.save({"state_dict": tensors, "latent_avg": torch.zeros(18, 512)}, both)
    network = AUEditNet(AUEditNetConfig())
    space = weights_name(generator)
    return both, save_aueditnet(network, folder / "aueditnet.safetensors", space)


def measure(generator: Path, editor: Path) -> tuple[dict[str, float], float]:
    """Seconds of each step, and the most memory of this process so far, in GB."""
    task = face_files.MODELS / "face_landmarker.task"
    marks = [time.perf_counter()]
    opened = open_editor(
        "aueditnet", editor=editor, generator=generator, landmarker=task, device="cpu"
    )
    marks.append(time.perf_counter())
    photo = opened.open(read_picture(face_files.PHOTOS / PHOTO))
    marks.append(time.perf_counter())
    photo.edit(AUVector.parse("6B+12D"))
    marks.append(time.perf_counter())
    names = ("opening the files", "finding and inverting the face", "an edit, pasted back")
    steps = zip(names, marks, marks[1:], strict=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {name: after - before for name, before, after in steps}, peak


if __name__ == "__main__":
    main()
