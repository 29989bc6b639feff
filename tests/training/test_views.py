import numpy as np
import pytest
from classifiers import head_params

from headstart.artifacts.arrays import Rows
from headstart.training import head
from headstart.training.views import Views

ROWS = np.array([1, 3, 4])  # of six images, those that have two other views


@pytest.fixture(params=[(2, 2), (1, 1)])
def views(request, tmp_path):
    """Every value says which image it is of, and which view: 0.25 is the second view of image 0."""
    plain = np.zeros((6, 2, 2, 3), "float16") + np.arange(6, dtype="float16")[:, None, None, None]
    others = np.zeros((3, 2, *request.param, 3)) + ROWS[:, None, None, None, None]
    others += np.array([0.25, 0.5])[:, None, None, None]
    for name, array in {"plain": plain, "others": others.astype("float16")}.items():
        np.save(tmp_path / name, array)
    return Views(Rows([tmp_path / "plain.npy"]), Rows([tmp_path / "others.npy"]), ROWS)


def seen(batches):
    return np.concatenate([batch[:, 0, 0, 0] for batch in batches])


def test_each_image_comes_in_the_view_that_is_drawn(views):
    rows = np.array([4, 0, 3, 1])
    assert seen(views.batches(rows, 3)).tolist() == [4, 0, 3, 1]
    drawn = np.array([0, 2, 0, 0, 1, 0])
    batches = list(views.batches(rows, 3, drawn))
    assert [batch.shape for batch in batches] == [(3, 2, 2, 3), (1, 2, 2, 3)]
    assert seen(batches).tolist() == [4.25, 0, 3, 1.5]


def test_all_views_are_drawn_but_only_of_images_that_have_some(views):
    draws = np.array([views.draw(1, "head views", epoch) for epoch in range(40)])
    assert (draws[:, [0, 2, 5]] == 0).all()
    assert all(set(draws[:, row]) == {0, 1, 2} for row in ROWS)
    np.testing.assert_array_equal(views.draw(1, "head views", 3), draws[3])
    assert (views.draw(1, "views", 3) != draws[3]).any(), "fine-tuning draws others"
    assert Views(np.zeros((6, 1)), None, ROWS).draw(1, "views", 0) is None


def test_pooled_are_all_views_and_an_image_without_others_stands_for_them(views):
    model = head.build(views.shape, 2, head_params())
    pooled = views.pooled(model, np.array([0, 1, 4]), batch_size=2)
    assert pooled.shape == (3, 3, 3)
    np.testing.assert_allclose(pooled[:, :, 0], [[0, 0, 0], [1, 1.25, 1.5], [4, 4.25, 4.5]])
