"""Bring the source of the images and the backbone's weights to `data/raw/`, both checked against their sha256."""

from pathlib import Path

from headstart import errors, params, sources


def main() -> None:
    p = params.load_stage("fetch")
    path = Path(p.dataset.path)
    sources.fetch_dataset(p.dataset.source, p.dataset.sha256, path)
    sources.fetch_weights(p.backbone.weights, p.backbone.sha256, p.backbone.name, p.image.size)
    sources.tidy(path, Path(p.backbone.weights))


if __name__ == "__main__":
    errors.run(main)
