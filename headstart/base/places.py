"""What features are of: the places of a map, (h, w, c), or tokens, (1 + patches, d), the class token first."""

from headstart.base.errors import UserError
from headstart.base.runtime import keras

layers = keras.layers

SEVERAL = "several"  # what the names of networks begin with that hold backbones side by side


def has_tokens(shape: tuple[int, ...]) -> bool:
    """Whether features of one image, of this shape, are tokens."""
    return len(shape) == 2


def refuse_pooling(shape: tuple[int, ...], pooling: str, name: str) -> None:
    """Raise UserError where `head.pooling` wants a class token that the features lack.

    shape: of one image's features; name: of the backbone.
    """
    if pooling in ("token", "both") and not has_tokens(shape):
        raise UserError(
            f"head.pooling: got {pooling}, but {name} gives a map without a class token: take average or flatten"
        )


def pooled(features: keras.KerasTensor, pooling: str) -> keras.KerasTensor:
    """Returns what a head is made on, (n, k), by the layer `pooling`.

    features: (n, h, w, c), or (n, 1 + patches, d). pooling: `average`, over a map or over patches; `token`, the class
    token; `both`, the class token and the average side by side; `flatten`, everything.
    """
    if pooling == "flatten":
        return layers.Flatten(name="pooling")(features)
    if len(features.shape) == 4:
        return layers.GlobalAveragePooling2D(name="pooling")(features)
    if pooling == "token":
        return layers.Flatten(name="pooling")(class_token(features, "class_token"))
    if pooling == "average":
        return layers.GlobalAveragePooling1D(name="pooling")(_patches(features, "patches"))
    average = layers.GlobalAveragePooling1D(name="average")(_patches(features, "patches"))
    return layers.Concatenate(name="pooling")(
        [layers.Flatten(name="token")(class_token(features, "class_token")), average]
    )


def averaged(features: keras.KerasTensor, keepdims: bool = False) -> keras.KerasTensor:
    """Returns features averaged over the places of a map, or over patches: (n, c), or with `keepdims` of their rank."""
    if len(features.shape) == 4:
        return layers.GlobalAveragePooling2D(keepdims=keepdims)(features)
    if len(features.shape) == 3:
        return layers.GlobalAveragePooling1D(keepdims=keepdims)(_patches(features))
    return features


def class_token(features: keras.KerasTensor, name: str | None = None) -> keras.KerasTensor:
    """Returns the class token among tokens (n, 1 + patches, d): (n, 1, d)."""
    return layers.Cropping1D((0, features.shape[1] - 1), name=name)(features)


def _patches(features: keras.KerasTensor, name: str | None = None) -> keras.KerasTensor:
    return layers.Cropping1D((1, 0), name=name)(features)
