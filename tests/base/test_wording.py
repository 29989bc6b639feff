from headstart.base import wording


def test_a_near_name_is_offered_and_a_far_one_is_not():
    assert wording.did_you_mean("InceptionV4", ["ResNet50", "InceptionV3"]) == "did you mean InceptionV3? "
    assert wording.did_you_mean("qqq", ["ResNet50", "InceptionV3"]) == ""
    assert wording.nearest("mixd6", ["mixed6", "mixed7", "conv"], count=2) == ["mixed6", "mixed7"]


def test_one_of_a_thing_is_in_the_singular():
    assert [wording.count(number, "batch") for number in (0, 1, 1200)] == ["0 batches", "1 batch", "1,200 batches"]
    assert wording.count(1, "image") == "1 image"
    assert wording.plural("MB") == "MB"


def test_how_long_it_takes_is_said_in_what_people_count_in():
    said = [wording.duration(seconds) for seconds in (0.2, 119, 121, 754, 7200, 11_090)]
    assert said == ["0 s", "119 s", "2 min", "13 min", "2 h 0 min", "3 h 5 min"]


def test_a_label_is_one_line_of_at_most_so_many_columns():
    assert wording.label("cats") == "cats"
    assert wording.label("a\n\0b\u202ec") == "a b c"
    assert wording.label("\n") == repr("\n")
    assert wording.label("x" * 300 + "1", 13) == "xxxxxx…xxxxx1"
    assert wording.label("划痕" * 100, 13) == "划痕划…痕划痕"
    assert wording.label("می\u200cخواهم") == "می\u200cخواهم"


def test_labels_that_differ_stay_different():
    early, late = "Tomato___Early_blight", "Tomato___Late_blight"
    assert wording.labels([early, late, "cats"], 16) == ["…Early_blight", "…Late_blight", "cats"]
    many = [f"species number {number} of the genus" for number in (1, 10, 17, 27, 107)]
    for cells in (8, 12, 22):
        shown = wording.labels(many, cells)
        assert len(set(shown)) == len(many), shown
    within = "a" * 20, "x" * 99, "b" * 20
    middles = ["".join([within[0], middle, within[1], within[2]]) for middle in "pqr"]
    assert len(set(wording.labels(middles, 10))) == 3
    assert wording.labels(["cats", "cats"], 3) == ["c…s", "c…s"]
