"""Fetch the dataset and the backbone's weights to `data/raw/`, and check both against their sha256."""

from headstart.base import watch

watch.start(__name__)  # before what takes seconds to import

from pathlib import Path

from headstart.base import checkpoint, errors, origin, params
from headstart.sources import fetching


def main() -> None:
    settings = params.load_stage("fetch")
    path = Path(settings.dataset.path)
    # Before what may take minutes.
    fetching.refuse_kept([backbone.weights for backbone in settings.backbone])
    for backbone in settings.backbone:
        origin.refuse_ending(backbone.weights, backbone.name)
    fetching.fetch_dataset(settings.dataset.source, settings.dataset.sha256, path)
    folders = origin.weights_folders(len(settings.backbone))
    for backbone, folder in zip(settings.backbone, folders, strict=True):
        fetching.fetch_weights(backbone.weights, backbone.sha256, backbone.name, settings.image.size, folder)
    fetching.tidy(path, *(Path(backbone.weights) for backbone in settings.backbone), folders=folders)
    checkpoint.finish("fetch")


if __name__ == "__main__":
    errors.run(main)
