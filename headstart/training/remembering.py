"""What a classifier remembers of its training images, to tell those that are unlike all of them."""

import numpy as np

from headstart.artifacts import features
from headstart.artifacts.manifest import Manifest
from headstart.backbones import cut, several
from headstart.backbones.folding import folded
from headstart.base import params, places
from headstart.base.runtime import keras
from headstart.classifier import familiar, inference, joining
from headstart.classifier.candidates import Network
from headstart.classifier.unlike import Known
from headstart.images.archive import Source

WORK = "remember training images"


def known(settings: params.View, table: Manifest, source: Source, network: Network) -> Known:
    """Returns what the classifier that is made of `network` keeps: as `familiar.known`.

    With fixed views the network goes on from the activations at the cut, which `extract` wrote. Raises UserError where
    they are not there, and where an image can no longer be read.
    """
    backbone, head = network
    kept, compared = familiar.rows(table, settings.seed)
    rows = np.concatenate([kept, compared])
    if settings.fine_tune.views == "live":
        whole = joining.join(folded(backbone), head, several.scaling(settings.backbone, backbone))
        paths = [table.paths[row] for row in rows]
        model = joining.with_features(whole, (), None)
        _, vectors = inference.of_source(model, settings.image.size, source, paths, WORK)
    else:
        tail = folded(cut.cut_in_two(backbone, settings.fine_tune.cut)[1])
        model = keras.Model(tail.input, places.averaged(tail.output))
        (vectors,) = inference.of_rows(model, features.read_cut(table=table), rows, WORK)
    return familiar.known(vectors[: len(kept)], vectors[len(kept) :])
