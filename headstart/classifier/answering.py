"""All that is asked of a classifier about an image, as one network: its exports carry this one."""

import math

import numpy as np

from headstart.base.runtime import keras
from headstart.classifier import joining, unlike
from headstart.classifier.details import Details
from headstart.classifier.unlike import Known


def network(classifier: keras.Model, details: Details) -> keras.Model:
    """Returns a network that takes uint8 RGB (n, size, size, 3) and gives a dictionary.

    `probabilities`: float32 (n, k), at the classifier's temperature, averaged over mirror images where it averages.
    `distance`: (n,), of an image from the training images that the classifier keeps (`unlike.distances`); `nearest`:
        int32 (n, m), which of these are nearest, the nearest first. Missing where it keeps none.
    `heat`: (n, h, w), from 0 to 1, which places speak for the likeliest class. Missing where the head takes no map, and
        of tokens no patch.
    """
    images, given, maps = joining.looks(classifier, details.axes)
    probabilities = joining.answer(given, details.rule.temperature)
    if probabilities.shape[-1] == 1:
        probabilities = keras.ops.concatenate([1 - probabilities, probabilities], axis=1)
    outputs = {"probabilities": keras.layers.Identity(name="probabilities")(probabilities)}
    if details.known is not None:
        outputs |= _near(joining.pooled(maps), details.known)
    head = joining.one_look(classifier).layers[-1]
    if isinstance(head, keras.Model) and _has_places(maps, head):
        outputs["heat"] = Heat(head, name="heat")(maps)
    return keras.Model(images, outputs, name="classifier")


def _has_places(maps: keras.KerasTensor, head: keras.Model) -> bool:
    """Whether a head takes a map, or more of tokens than the first of them."""
    if len(maps.shape) != 3:
        return len(maps.shape) == 4
    pooling = head.get_layer("pooling")
    return not isinstance(pooling, keras.layers.Flatten) or pooling.output.shape[-1] > maps.shape[-1]


def _near(features: keras.KerasTensor, known: Known) -> dict[str, keras.KerasTensor]:
    """As `unlike.distances`, and which of the known images these are."""
    ends = np.cumsum(known.widths).tolist()
    if ends:
        parts = [features[:, end - width : end] for width, end in zip(known.widths, ends, strict=True)]
        features = keras.ops.concatenate([_unit(part) for part in parts], axis=1)
    alike = keras.ops.matmul(_unit(features), known.features.astype("float32").T)
    closest, places = keras.ops.top_k(alike, min(unlike.NEAREST, len(known.features)))
    return {
        "distance": keras.layers.Identity(name="distance")(1 - closest[:, -1]),
        "nearest": keras.layers.Identity(name="nearest", dtype="int32")(places),
    }


def _unit(features: keras.KerasTensor) -> keras.KerasTensor:
    length = keras.ops.sqrt(keras.ops.sum(features * features, axis=1, keepdims=True))
    return features / keras.ops.maximum(length, 1e-12)


class Heat(keras.layers.Layer):
    """Which places speak for the likeliest class: of a map (n, h, w, c), or of the patches among tokens
    (n, 1 + h * w, d), where h is w, to (n, h, w), from 0 to 1.

    For a linear head on averaged features this is exact, the class activation map (Zhou et al., Learning Deep Features
    for Discriminative Localization, CVPR 2016); for others it is Grad-CAM (Selvaraju et al., ICCV 2017), which for that
    head is the same. The slopes are written out: no other runtime differentiates.
    """

    def __init__(self, head: keras.Model, **options):
        super().__init__(**options)
        pooling = head.get_layer("pooling")
        self.pooling = pooling if len(head.input.shape) == 4 else keras.Model(head.input, pooling.output)
        self.dense = [layer for layer in head.layers if isinstance(layer, keras.layers.Dense)]

    def call(self, maps):
        ops, (*hidden, last) = keras.ops, self.dense
        passed = [self.pooling(maps)]
        for layer in hidden:
            passed.append(layer(passed[-1]))
        # Before the last activation: of a probability near 1 nothing would be left to tell the places apart.
        logits = ops.matmul(passed[-1], last.kernel) + last.bias
        if logits.shape[-1] == 1:
            slopes = ops.where(logits >= 0, 1.0, -1.0)
        else:
            slopes = ops.cast(
                logits >= ops.max(logits, axis=1, keepdims=True), logits.dtype
            )  # as argmax, in any format
        slopes = ops.matmul(slopes, ops.transpose(last.kernel))
        for layer, active in zip(reversed(hidden), reversed(passed[1:]), strict=True):
            slopes = ops.matmul(slopes * ops.cast(active > 0, slopes.dtype), ops.transpose(layer.kernel))
        if len(maps.shape) == 3:
            return self._of_patches(maps, slopes)
        if slopes.shape[-1] != maps.shape[-1]:  # of a head that takes each place by itself
            slopes = ops.mean(ops.reshape(slopes, (-1, maps.shape[1] * maps.shape[2], maps.shape[3])), axis=1)
        return self._heat(maps, slopes)

    def _of_patches(self, tokens, slopes):
        ops, count, width = keras.ops, tokens.shape[1], tokens.shape[2]
        if slopes.shape[-1] > 2 * width:  # of a head that takes each token by itself
            slopes = ops.mean(ops.reshape(slopes, (-1, count, width))[:, 1:], axis=1)
        side = math.isqrt(count - 1)
        # Where the class token stands beside the patches' average, it comes first.
        return self._heat(ops.reshape(tokens[:, 1:], (-1, side, side, width)), slopes[:, -width:])

    def _heat(self, maps, slopes):
        ops = keras.ops
        heat = ops.relu(ops.sum(maps * slopes[:, None, None, :], axis=3))
        return heat / ops.maximum(ops.max(heat, axis=(1, 2), keepdims=True), 1e-12)
