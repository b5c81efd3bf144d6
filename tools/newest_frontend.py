"""The newest frontend of ComfyUI's page, on which the page tests run beside the one that the pinned
ComfyUI asks for. The set-up of tests fetches it. Only the standard library is used here."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

if __package__:
    from tools.face_files import CACHE, Package, download_wheel
else:  # the set-up runs as a script
    from face_files import CACHE, Package, download_wheel

VERSION = "1.58.1"
FOLDER = CACHE / "frontends" / VERSION
STATIC = FOLDER / "comfyui_frontend_package" / "static"  # for ComfyUI's --front-end-root
WHEEL = Package(
    f"comfyui-frontend-package=={VERSION}",
    "37912597537a731a8f421179618a736c24184c5bdbfa327f38b2fb7c291852d9",
    FOLDER,
    (),
)


def is_there() -> bool:
    """Whether it was fetched, whole."""
    return (STATIC / "index.html").is_file()


def fetch(python: str | Path) -> None:
    """Fetch it with that Python's pip unless it is there; raises as `face_files.fetch` does."""
    if is_there():
        return
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER.parent) as temporary:
        wheel = download_wheel(WHEEL, python, Path(temporary))
        whole = Path(temporary) / VERSION
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(whole)
        shutil.rmtree(FOLDER, ignore_errors=True)
        whole.rename(FOLDER)
