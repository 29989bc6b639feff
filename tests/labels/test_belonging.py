from headstart.labels import belonging
from headstart.labels.layouts import Item


def test_copies_in_a_publishers_training_folder_are_taken_out_unless_they_are_to_be_ignored():
    paths = ["test/a.png", "train/a.png", "train/b.png", "train/c.png"]
    items = [Item(path, "cat", path.partition("/")[0]) for path in paths]
    hashes = {path: path for path in paths}

    def found(near):
        kept = belonging.find(items, hashes, lambda unique: [("test/a.png", "train/a.png")], (), near)
        used = {item.path: item.split for group in kept.groups for item in group}
        return len(used), kept.facts(used)["copies_taken_out"], kept.facts(used)["test_copies"]

    assert found("group") == (3, 1, 0)
    assert found("ignore") == (4, 0, 1)
