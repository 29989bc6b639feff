from headstart.labels import belonging
from headstart.labels.layouts import Item


def test_copies_in_a_publishers_training_folder_are_taken_out_unless_they_are_to_be_ignored():
    items = [
        Item("train/a.png", "cat", "train"),
        Item("test/a.png", "cat", "test"),
        Item("train/b.png", "dog", "train"),
    ]
    hashes = {item.path: item.path for item in items}

    def found(near):
        kept = belonging.find(items, hashes, lambda paths: [("test/a.png", "train/a.png")], (), near)
        used = {item.path: item.split for group in kept.groups for item in group}
        return len(used), kept.facts(used)["copies_taken_out"], kept.facts(used)["test_copies"]

    assert found("group") == (3, 1, 0)
    assert found("ignore") == (4, 0, 1)
