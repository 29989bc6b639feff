"""What a classifier remembers of its training images, to tell those that are unlike all of them."""

import numpy as np

from headstart.artifacts.arrays import Rows
from headstart.artifacts.manifest import Manifest
from headstart.backbones import cut, several
from headstart.backbones.folding import folded
from headstart.base import params, places
from headstart.base.runtime import keras
from headstart.classifier import familiar, inference, joining
from headstart.classifier.candidates import Network
from headstart.classifier.unlike import Known
from headstart.images.archive import Source
from headstart.images.decoding import Square

WORK = "remember training images"


def known(settings: params.View, table: Manifest, source: Source, at_cut: Rows | None, network: Network) -> Known:
    """Returns what the classifier that is made of `network` keeps: as `familiar.known`.

    at_cut: the activations at the cut of all images, from which the network goes on; None: it looks at the images.
    Raises UserError where one of these can no longer be read.
    """
    backbone, head = network
    kept, compared = familiar.rows(table, settings.seed)
    rows = np.concatenate([kept, compared])
    if at_cut is None:
        whole = joining.join(folded(backbone), head, several.scaling(settings.backbone, backbone))
        paths = [table.paths[row] for row in rows]
        model = joining.with_features(whole, (), None)
        _, vectors = inference.of_source(model, Square.of(settings.image), source, paths, WORK)
    else:
        tail = folded(cut.cut_in_two(backbone, settings.fine_tune.cut)[1])
        model = keras.Model(tail.input, places.averaged(tail.output))
        (vectors,) = inference.of_rows(model, at_cut, rows, WORK)
    return familiar.known(vectors[: len(kept)], vectors[len(kept) :], several.widths(backbone))
