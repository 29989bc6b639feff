"""The cut: where the frozen part of a backbone ends, and the tail that is trained begins."""

from headstart.backbones import several
from headstart.backbones.several import Cut
from headstart.base.errors import UserError
from headstart.base.runtime import keras
from headstart.base.wording import nearest


def freeze(backbone: keras.Model, cut: Cut | list[Cut], *weights: str) -> None:
    """Make the layers up to `fine_tune.cut` untrainable, and all batch normalisation where it was pretrained.

    Untrainable batch normalisation keeps to its statistics in training too. With those of a few hundred images the
    network would no longer be the one that the head was trained on (keras-team/keras issue 9524). Calling a network
    with `training=False` is not enough: in Keras 3 the outermost call's `training` overrules it.

    weights: the parameter `backbone.weights`, of each backbone; `random` has statistics that must still be learnt.

    Of several backbones (`several.build`) those that have no cut are untrainable as a whole.
    """
    cuts = several.cuts(backbone, cut)
    for network, at, given in zip(several.networks(backbone), cuts, weights, strict=True):
        frozen = len(network.layers) if at is None else frozen_layers(network, at)
        for number, layer in enumerate(network.layers):
            pretrained = isinstance(layer, keras.layers.BatchNormalization) and given != "random"
            layer.trainable = number >= frozen and not pretrained


def frozen_layers(backbone: keras.Model, cut: Cut) -> int:
    """Returns how many of the layers of one backbone, from its input, stay frozen under `fine_tune.cut`.

    cut: the last frozen layer's name, or the number of frozen layers. Raises UserError for one that is not there.
    """
    names = [layer.name for layer in backbone.layers]
    if isinstance(cut, int):
        if cut > len(names):
            last = ", ".join(f"{names.index(name) + 1} ({name})" for name in single_paths(backbone)[-3:])
            raise UserError(
                f"fine_tune.cut: got {cut}; takes 0 to {len(names)}, the number of {_title(backbone)}'s layers, such "
                f"as {last}, or a layer's name"
            )
        return cut
    if cut not in names:
        paths = single_paths(backbone)
        near = nearest(cut, paths, count=3, cutoff=0.4) or paths[-3:]
        raise UserError(
            f"fine_tune.cut: got {cut}, which is not a layer of {_title(backbone)}; takes a layer's name such as "
            f"{', '.join(near)}, or the number of frozen layers"
        )
    return names.index(cut) + 1


def single_paths(backbone: keras.Model) -> list[str]:
    """Returns the layers whose output is the only path through one backbone, from input to output: where it can be cut.

    The last one is among them: after it the head alone is trained.
    """
    made_by = {
        id(tensor): operation.name
        for operation in backbone.operations
        for tensor in keras.tree.flatten(operation.output)
    }
    last_use = {}
    for position, operation in enumerate(backbone.operations):
        for tensor in keras.tree.flatten(operation.input):
            last_use[made_by[id(tensor)]] = position
    # The order is topological, so at a single path nothing that was made before is used after it.
    reach, paths = 0, []
    for position, operation in enumerate(backbone.operations):
        if reach <= position and isinstance(operation, keras.layers.Layer):
            paths.append(operation.name)
        reach = max(reach, last_use.get(operation.name, position))
    return paths[1:]


def divides(backbone: keras.Model, cut: Cut | list[Cut]) -> bool:
    """Whether the output of `cut` is the only path through the backbone, so that it can be cut in two there; of several
    backbones through each that has one."""
    pairs = zip(several.networks(backbone), several.cuts(backbone, cut), strict=True)
    return all(_divides(network, at) for network, at in pairs if at is not None)


def cut_in_two(backbone: keras.Model, cut: Cut | list[Cut]) -> several.Parts:
    """Returns the frozen part, from the backbone's input to `cut`, and the tail, from there to its output.

    Both share the backbone's layers: what trains the tail trains the backbone. Raises UserError where the output of
    `cut` is not the only path through the network, naming the nearest layers where it is.
    """
    pairs = zip(several.networks(backbone), several.cuts(backbone, cut), strict=True)
    return several.around(backbone, [None if at is None else _cut_in_two(network, at) for network, at in pairs])


def _divides(network: keras.Model, cut: Cut) -> bool:
    position = frozen_layers(network, cut) - 1
    return position >= 0 and network.layers[position].name in single_paths(network)


def _cut_in_two(network: keras.Model, cut: Cut) -> several.Parts:
    position, names = frozen_layers(network, cut) - 1, [layer.name for layer in network.layers]
    if not _divides(network, cut):
        paths = single_paths(network)
        near = sorted(paths, key=lambda name: abs(names.index(name) - position))[:4]
        raise UserError(
            f"fine_tune.cut: got {cut}, but fixed views need a layer whose output is the only path through "
            f"{_title(network)}; near it: {', '.join(sorted(near, key=names.index))} (or set fine_tune.views to live)"
        )
    output = network.layers[position].output
    frozen = keras.Model(network.input, output, name="frozen")
    # Keras makes no network without a layer.
    end = keras.layers.Identity()(output) if position == len(names) - 1 else network.output
    return frozen, keras.Model(output, end, name="tail")


def _title(network: keras.Model) -> str:
    """What the parameters call it, where `registry.build` has made it."""
    return getattr(network, "title", network.name)
