"""What `ingesting.py` holds ingest against; each is run by the peers' own Python, as a program.

    python tests/benchmarks/peers.py NAME FOLDER

The folder has one sub-folder, all of whose files are JPEGs. Nothing of `curate` is imported here.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

CORES = os.cpu_count() or 1
SHORT, LONG = 256, 1_024
"""Sides of a preview, as of `curate`."""


def files_of(folder: Path) -> list[Path]:
    """All of them."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def on_all_cores(work: Callable[[Path], int], folder: Path) -> None:
    """So many processes as there are cores, each with a share of the files."""
    with ProcessPoolExecutor(CORES) as pool:
        sum(pool.map(work, files_of(folder), chunksize=8))


def read(path: Path) -> int:
    """Bytes of a file, from the disk or the page cache."""
    return len(path.read_bytes())


def hashed(path: Path) -> int:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).digest()[0]


def drafted(path: Path) -> int:
    """Pillow's scaled decoding to the least size that a preview can be made of."""
    from PIL import Image

    with Image.open(path) as image:
        width, height = image.size
        scale = min(1.0, SHORT / min(width, height), LONG / max(width, height))
        image.draft(None, (round(width * scale), round(height * scale)))
        image.load()
        return image.width


def simplejpeg(path: Path) -> int:
    """The same by libjpeg-turbo through simplejpeg."""
    import simplejpeg

    pixels = simplejpeg.decode_jpeg(path.read_bytes(), min_height=SHORT, min_width=SHORT)
    return int(pixels.shape[0])


def torchvision(path: Path) -> int:
    """torchvision's decoder, which knows no scale on a CPU."""
    import torch
    from torchvision.io import decode_jpeg, read_file

    torch.set_num_threads(1)
    return int(decode_jpeg(read_file(str(path))).shape[1])


def image_folder(folder: Path) -> None:
    """A pass of torchvision's ImageFolder through a DataLoader, as for training: 224 pixels."""
    import torch
    from torchvision import datasets, transforms

    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
    dataset = datasets.ImageFolder(folder, transforms.Compose(steps))
    loader: Any = torch.utils.data.DataLoader(dataset, batch_size=64, num_workers=CORES)
    for _ in loader:
        pass


def cleanvision(folder: Path) -> None:
    """Its default checks."""
    from cleanvision import Imagelab

    Imagelab(data_path=str(folder)).find_issues(verbose=False)


def imagededup(folder: Path) -> None:
    """Its perceptual hash, of all files in all processes."""
    from imagededup.methods import PHash

    (inner,) = folder.iterdir()
    PHash(verbose=False).encode_images(image_dir=str(inner), num_enc_workers=CORES)


def fiftyone(folder: Path) -> None:
    """Its import of a folder, with metadata: size and channels of each image."""
    import fiftyone

    fiftyone.config.show_progress_bars = False
    kind = fiftyone.types.ImageDirectory
    dataset = fiftyone.Dataset.from_dir(dataset_dir=str(folder), dataset_type=kind)
    dataset.compute_metadata(num_workers=CORES)
    dataset.delete()


OF_A_FILE = {
    function.__name__: function for function in (read, hashed, drafted, simplejpeg, torchvision)
}
OF_A_FOLDER = {
    function.__name__: function for function in (image_folder, cleanvision, imagededup, fiftyone)
}


def main() -> None:
    """Run one of them."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    if name in OF_A_FOLDER:
        OF_A_FOLDER[name](folder)
    else:
        on_all_cores(OF_A_FILE[name], folder)


if __name__ == "__main__":
    main()
