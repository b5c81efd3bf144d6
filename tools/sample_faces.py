"""A few of the committed renders as a data set of their own, for tests and benchmarks."""

from __future__ import annotations

import tarfile
from pathlib import Path

from au_adapter.data.rendered import SAMPLE


def few_faces(folder: Path, count: int = 8) -> Path:
    """The first faces of the committed sample, as a folder of renders."""
    folder.mkdir(parents=True)
    shard = min(SAMPLE.glob("*.tar"))
    with tarfile.open(shard) as whole, tarfile.open(folder / shard.name, "w") as part:
        for entry in whole.getmembers()[: 3 * count]:
            part.addfile(entry, whole.extractfile(entry))
    return folder
