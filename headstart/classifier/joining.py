"""The whole network: a backbone and a head joined, and its answers averaged over mirror images."""

from collections.abc import Callable, Sequence

from headstart.artifacts.results import AVERAGED
from headstart.base import places
from headstart.base.runtime import keras
from headstart.classifier.decision import SMALLEST

FEATURES = "features"  # the layer that gives what the head takes
MEAN = "mean"  # the layer that averages
NETWORK = "network"  # the layer, of a classifier that is calibrated, that holds all of it before that


def join(
    backbone: keras.Model, head: keras.Model, scale: Callable[[keras.KerasTensor], keras.KerasTensor]
) -> keras.Model:
    """Returns the whole network: uint8 RGB (n, size, size, 3) to what `head` gives.

    scale: from pixels (n, size, size, 3), 0 to 255, to what the backbone takes (`backbones.registry.scale`).
    """
    inputs = keras.Input(backbone.input.shape[1:], dtype="uint8", name="image")
    features = keras.layers.Identity(name=FEATURES)(backbone(scale(inputs)))
    return keras.Model(inputs, head(features), name="classifier")


def copied(model: keras.Model) -> keras.Model:
    """Returns a model of the same layers and weights, whatever it was compiled for."""
    copy = keras.Model.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


def averaged(classifier: keras.Model, axes: Sequence[int]) -> keras.Model:
    """Returns a classifier that gives the mean of what `classifier` gives for an image and for its mirror images.

    axes: those that images are mirrored along, in every combination: 1 is up and down, 2 left and right; none gives
        `classifier` itself. A mean over n views takes n times as long (test-time augmentation: Krizhevsky et al.,
        ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012, section 4.1).
    """
    if not axes:
        return classifier
    views = mirrored(keras.Input(classifier.input.shape[1:], dtype="uint8", name="image"), axes)
    mean = keras.layers.Average(name=MEAN)([classifier(images) for images in views])
    return keras.Model(views[0], mean, name="mean_classifier")


def mirrored(images: keras.KerasTensor, axes: Sequence[int]) -> list[keras.KerasTensor]:
    """Returns the images as they are, then mirrored along every combination of `axes`."""
    views = [images]
    for axis in axes:
        views += [keras.ops.flip(view, axis) for view in views]
    return views


def calibrated(network: keras.Model, temperature: float) -> keras.Model:
    """Returns a classifier that gives what `network` does, at a temperature (`decision.tempered`)."""
    inputs = keras.Input(network.input.shape[1:], dtype="uint8", name="image")
    whole = keras.Model(network.input, network.output, name=NETWORK)
    return keras.Model(inputs, _tempered(whole(inputs), temperature), name="classifier")


def _tempered(given: keras.KerasTensor, temperature: float) -> keras.KerasTensor:
    logits = keras.ops.log(keras.ops.clip(given, SMALLEST, 1 - SMALLEST if given.shape[-1] == 1 else 1))
    if given.shape[-1] == 1:
        logits -= keras.ops.log(keras.ops.clip(1 - given, SMALLEST, 1))
    cooled = keras.layers.Rescaling(1 / temperature, name="temperature")(logits)
    return keras.layers.Activation("sigmoid" if given.shape[-1] == 1 else "softmax", name="calibrated")(cooled)


def parts(classifier: keras.Model, delivered: str, axes: Sequence[int]) -> tuple[list[str], keras.Model]:
    """Returns what a classifier's answer is made of: names, and a model with an output for each of them, then features.

    `fine_tuned` is the network's answer to the image as it is; `averaged`, where the classifier averages over `axes`,
    the mean over mirror images; or `head` and `head_averaged`, where `delivered` says that it is the head's. They are
    those before the temperature. The features, (n, c) float32, are what the head takes for the image as it is, averaged
    over their places. All are computed at the cost of the last answer.
    """
    names = next([model, mean] for model, mean in AVERAGED.items() if delivered in (model, mean))
    images, given, maps = looks(classifier, axes)
    features = pooled(maps)
    if len(given) == 1:
        return names[:1], keras.Model(images, [*given, features])
    return names, keras.Model(images, [given[0], keras.layers.Average()(given), features])


def with_features(classifier: keras.Model, axes: Sequence[int], temperature: float | None) -> keras.Model:
    """Returns a model that gives an image's probabilities, as `classifier` does, and its features, as in `parts`.

    axes: those that the classifier averages over; temperature: its own; None: it has none.
    """
    images, given, maps = looks(classifier, axes)
    return keras.Model(images, [answer(given, temperature), pooled(maps)])


def answer(given: list[keras.KerasTensor], temperature: float | None) -> keras.KerasTensor:
    """Returns what a classifier makes of what its network gives for the mirror images. temperature: as above."""
    mean = keras.layers.Average()(given) if len(given) > 1 else given[0]
    return mean if temperature is None else _tempered(mean, temperature)


def pooled(maps: keras.KerasTensor) -> keras.KerasTensor:
    """Returns what the head takes, (n, h, w, c) or (n, 1 + patches, d), averaged over the places: (n, c)."""
    return places.averaged(maps)


def one_look(classifier: keras.Model) -> keras.Model:
    """Returns the network of a classifier as `join` made it: of one look at an image, before the temperature."""
    network = classifier.get_layer(NETWORK) if _has(classifier, NETWORK) else classifier
    return network.get_layer("classifier") if _has(network, MEAN) else network


def looks(
    classifier: keras.Model, axes: Sequence[int]
) -> tuple[keras.KerasTensor, list[keras.KerasTensor], keras.KerasTensor]:
    """Returns what a network for more than one question is made of.

    These are the images, what the classifier's network gives for each of their mirror images before the temperature,
    and what the head takes for the images as they are, (n, h, w, c), (n, 1 + patches, d) or (n, c).
    """
    network = one_look(classifier)
    both = keras.Model(network.input, [network.output, network.get_layer(FEATURES).output])
    images = keras.Input(classifier.input.shape[1:], dtype="uint8", name="image")
    answers = [both(view) for view in mirrored(images, axes)]
    return images, [given for given, _ in answers], answers[0][1]


def _has(model: keras.Model, name: str) -> bool:
    return name in [layer.name for layer in model.layers]
