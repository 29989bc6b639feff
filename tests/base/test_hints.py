from headstart.base import hints


def test_a_near_name_is_offered_and_a_far_one_is_not():
    assert hints.did_you_mean("InceptionV4", ["ResNet50", "InceptionV3"]) == "did you mean InceptionV3? "
    assert hints.did_you_mean("qqq", ["ResNet50", "InceptionV3"]) == ""
    assert hints.nearest("mixd6", ["mixed6", "mixed7", "conv"], count=2) == ["mixed6", "mixed7"]
