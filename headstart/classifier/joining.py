"""The whole network: a backbone and a head joined, and its answers averaged over mirror images."""

from collections.abc import Callable, Sequence

from headstart.artifacts.results import AVERAGED
from headstart.base.runtime import keras

MEAN = "mean"  # the layer that averages


def join(
    backbone: keras.Model, head: keras.Model, scale: Callable[[keras.KerasTensor], keras.KerasTensor]
) -> keras.Model:
    """Returns the whole network: uint8 RGB (n, size, size, 3) to what `head` gives.

    scale: from pixels (n, size, size, 3), 0 to 255, to what the backbone takes (`backbones.registry.scale`).
    """
    inputs = keras.Input(backbone.input.shape[1:], dtype="uint8", name="image")
    return keras.Model(inputs, head(backbone(scale(inputs))), name="classifier")


def copied(model: keras.Model) -> keras.Model:
    """Returns a model of the same layers and weights, whatever it was compiled for."""
    copy = keras.Model.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


def tempered(head: keras.Model, temperature: float) -> keras.Model:
    """Returns a copy of `head` whose last layer's logits are divided by `temperature` (`selection.temperature`)."""
    copy = copied(head)
    output = copy.layers[-1]
    output.set_weights([weights / temperature for weights in output.get_weights()])
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


def parts(classifier: keras.Model, delivered: str) -> tuple[list[str], keras.Model]:
    """Returns what a classifier's answer is made of: names, and a model with one output for each of them.

    `fine_tuned` is the network's answer to the image as it is; `averaged`, where the classifier averages, the mean over
    mirror images; or `head` and `head_averaged`, where `delivered` says that it is the head's. Both are computed at the
    cost of the last one.
    """
    names = next([model, mean] for model, mean in AVERAGED.items() if delivered in (model, mean))
    if MEAN not in [layer.name for layer in classifier.layers]:
        return names[:1], classifier
    plain, *_ = classifier.get_layer(MEAN).input
    return names, keras.Model(classifier.input, [plain, classifier.output])
