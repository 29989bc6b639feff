import numpy as np
import pytest
from PIL import Image

from headstart.backbones import cut
from headstart.base.runtime import keras
from headstart.classifier import candidates
from headstart.images import archive
from headstart.images.decoding import Square


def network(seed):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 3))
    first = keras.layers.Conv2D(6, 3, name="first", activation="relu")(inputs)
    backbone = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="convolution")(first))
    features = keras.Input(backbone.output.shape[1:])
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    return backbone, keras.Model(features, keras.layers.Dense(3, activation="softmax", name="output")(pooled))


def test_halfway_is_the_mean_of_all_weights_and_leaves_both_as_they_are():
    before, after = network(1), network(2)
    kept = [weights.copy() for model in (*before, *after) for weights in model.get_weights()]
    for middle, *ends in zip(candidates.halfway(before, after), before, after, strict=True):
        for weights, start, end in zip(middle.get_weights(), *(model.get_weights() for model in ends), strict=True):
            np.testing.assert_allclose(weights, (start + end) / 2, rtol=1e-6)
    now = [weights for model in (*before, *after) for weights in model.get_weights()]
    assert all(np.array_equal(*pair) for pair in zip(kept, now, strict=True))


@pytest.mark.parametrize(
    ("name", "network", "model"),
    [
        ("head", "head", "head"),
        ("head_averaged", "head", "head_averaged"),
        ("halfway", "halfway", "fine_tuned"),
        ("halfway_averaged", "halfway", "averaged"),
        ("averaged", "fine_tuned", "averaged"),
    ],
)
def test_what_is_halfway_counts_as_fine_tuned(name, network, model):
    choice = candidates.Choice(name, {}, np.zeros((0, 2)), None)
    assert (choice.network, choice.model, choice.averages) == (network, model, name.endswith("averaged"))


def test_each_is_weighed_at_the_temperature_that_suits_it():
    rng = np.random.default_rng(1)
    labels = rng.integers(2, size=400)
    right = np.where(labels[:, None] == [0, 1], 0.55, 0.45)[:, None]
    better = np.where(labels[:, None] == [0, 1], 0.999, 0.001)[:, None]
    flipped = np.concatenate([right, right], axis=1)
    choice = candidates.weigh({"head": flipped}, labels, "loss")
    assert choice.name == "head" and set(choice.costs) == {"head", "head_averaged"}
    np.testing.assert_array_equal(choice.probabilities, right[:, 0])
    # As modest as it is, the head is never wrong either.
    assert candidates.weigh({"head": right, "fine_tuned": right}, labels, "loss").name == "head"
    choice = candidates.weigh({"head": right, "fine_tuned": better}, labels, "loss")
    assert choice.name == "fine_tuned" and choice.costs["fine_tuned"] < choice.costs["head"]
    np.testing.assert_array_equal(choice.probabilities, better[:, 0])


@pytest.mark.parametrize("axes", [[], [2], [1, 2]], ids=str)
@pytest.mark.parametrize("trained", [True, False], ids=["fine-tuned", "the head alone"])
def test_activations_at_the_cut_give_what_the_images_give(tmp_path, axes, trained):
    pixels = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), dtype="uint8")
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    (head, fine_tuned), scale = (network(1), network(2)), keras.layers.Rescaling(1 / 255)
    fine_tuned[0].get_layer("first").set_weights(head[0].get_layer("first").get_weights())
    networks = {"head": head} | ({"fine_tuned": fine_tuned} if trained else {})
    frozen, _ = cut.cut_in_two(head[0], "first")
    at_cut, rows = np.asarray(frozen(scale(pixels))).astype("float16"), np.array([4, 0, 3])
    paths = [f"{row}.png" for row in rows]
    with archive.open_source(tmp_path, None) as source:
        given = (networks, "first", scale, axes, source, Square(8), paths)
        by_images, by_cut = candidates.answers(*given, None), candidates.answers(*given, (at_cut, rows))
    assert list(by_images) == list(by_cut) == ["head", "fine_tuned", "halfway"][: 3 if trained else 1]
    for name, probabilities in by_images.items():
        assert probabilities.shape == (3, 2 ** len(axes), 3)
        np.testing.assert_allclose(by_cut[name], probabilities, atol=2e-3)
    if trained:
        assert np.abs(by_cut["head"] - by_cut["fine_tuned"]).max() > 0.02
