"""A hook of MkDocs: the pictures that the pipeline writes to metrics/ belong to the site."""

from pathlib import Path

from mkdocs.structure.files import File, Files

METRICS = Path(__file__).parent.parent / "metrics"


def on_files(files: Files, config) -> Files:
    """Add every picture in metrics/ to the files of the site."""
    for picture in sorted(METRICS.glob("*.png")):
        files.append(File.generated(config, f"metrics/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, **_) -> str:
    """Where a page reads `../metrics/…`, which is right in the repository, the site has `metrics/…`."""
    return markdown.replace("](../metrics/", "](metrics/")
