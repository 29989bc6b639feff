import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len

from headstart import predict
from headstart.artifacts import results
from headstart.base import cells, openvino
from headstart.base.errors import UserError
from headstart.base.runtime import keras
from headstart.classifier import file, joining, unlike
from headstart.classifier.details import Details, Rule
from headstart.delivery.classifier import Answers, Classifier
from headstart.delivery.depths import Depths
from headstart.images.ranges import Range

ROOT = Path(__file__).parent.parent
SIZE = 16


def classifier(path, classes=("blue", "red"), axes=()):
    """Saves a model that tells the classes by their colour: red for class 1; or red, green, blue for three."""
    inputs = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    features = keras.layers.Identity(name=joining.FEATURES)(keras.layers.Rescaling(1 / 255)(inputs))
    means = keras.layers.GlobalAveragePooling2D()(features)
    if len(classes) == 2:
        layer, kernel = keras.layers.Dense(1, "sigmoid"), np.array([[4], [0], [-4]])
    else:
        layer, kernel = keras.layers.Dense(3, "softmax"), 4 * np.eye(3)
    model = keras.Model(inputs, layer(means), name="classifier")
    layer.set_weights([kernel, np.zeros(kernel.shape[1])])
    file.save(joining.averaged(model, axes), path, Details(list(classes), SIZE, "averaged", axes=axes))
    return path


def photo(path, colour, size=(30, 20)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return str(path)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    classifier(results.CLASSIFIER)
    return tmp_path


def output(capsys, *arguments):
    status = predict.main([str(argument) for argument in arguments])
    return status, capsys.readouterr().out


def test_one_line_per_image_with_path_class_and_probability(here, capsys):
    photo(Path("one.png"), "red")
    photo(Path("more/deep/b.gif"), "blue")
    photo(Path("more/A.PNG"), "red")
    Path("more/notes.txt").write_text("no image")
    status, text = output(capsys, "one.png", "more")
    assert status == 0
    assert [line.split() for line in text.splitlines()] == [
        ["one.png", "red", "0.9820"],
        ["more/A.PNG", "red", "0.9820"],
        ["more/deep/b.gif", "blue", "0.9820"],
    ]
    assert len({line.rindex("0.") for line in text.splitlines()}) == 1


def test_columns_are_straight_in_any_script():
    entries = [
        {"path": "划痕/1.png", "possible": ["划痕"], "probability": 0.5, "unlike": None},
        {"path": "b\udcff/22.png", "possible": ["crack"], "probability": 0.75, "unlike": False},
        {"path": "خدش.png", "error": "not an image"},
    ]
    stream = io.StringIO()
    # Half a letter, of a name that is not UTF-8, is shown as it is printed.
    predict.write_lines(entries, stream, cell_len(r"b\udcff/22.png"), 5)
    lines = stream.getvalue().splitlines()
    assert [cell_len(line) for line in lines[:2]] == [29, 29]
    assert lines[0] == "划痕/1.png      划痕   0.5000"
    assert [
        cell_len(line[: line.index(end)]) for line, end in zip(lines, ("划痕  ", "crack", "error"), strict=True)
    ] == [16] * 3


def test_more_than_a_batch_keeps_its_order(here, capsys):
    for i in range(75):
        photo(Path(f"many/{i:02}.png"), "red" if i % 3 else "blue")
    Path("many/40.png").write_bytes(b"")
    status, text = output(capsys, "many", "--csv")
    answers = [row["class"] for row in csv.DictReader(io.StringIO(text))]
    assert status == 1
    assert answers == ["" if i == 40 else "red" if i % 3 else "blue" for i in range(75)]


def test_broken_and_missing_images_are_reported_and_the_rest_goes_on(here, capsys):
    photo(Path("good.png"), "red")
    Path("empty.jpg").write_bytes(b"")
    Path("words.jpg").write_text("no image")
    Path("nothing").mkdir()
    Path("bad.zip").write_text("no zip")
    status, text = output(capsys, "missing.jpg", "empty.jpg", "words.jpg", "nothing", "bad.zip", "good.png")
    lines = text.splitlines()
    assert status == 1
    assert len(lines) == 6
    for line, path in zip(lines, ["missing.jpg", "empty.jpg", "words.jpg", "nothing", "bad.zip"], strict=False):
        assert line.startswith(path)
        assert "  error: " in line
    assert "No such file" in lines[0]
    assert "no images in it" in lines[3]
    assert lines[5].split() == ["good.png", "red", "0.9820"]


def test_links_pipes_and_other_endings_in_a_folder(here, capsys):
    photo(Path("photos/a.png"), "red")
    Path("photos/b.png").symlink_to("a.png")
    Path("photos/c.png").symlink_to("gone.png")
    os.mkfifo("photos/d.png")
    for name in ("e.mov", "notes.txt", ".hidden.png"):
        Path("photos", name).write_bytes(b"")
    status = predict.main(["photos"])
    output = capsys.readouterr()
    assert status == 1
    assert [line.split()[:2] for line in output.out.splitlines()] == [
        ["photos/a.png", "red"],
        ["photos/b.png", "red"],
        ["photos/c.png", "error:"],
        ["photos/d.png", "error:"],
    ]
    assert "photos: left out 2 that are no images: their names do not end in .jpg, " in output.err


def test_a_folder_behind_a_link_is_left_out_with_a_word(here, capsys):
    photo(Path("photos/a.png"), "red")
    photo(Path("others/b.png"), "red")
    Path("photos/more").symlink_to("../others")
    assert predict.main(["photos"]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1
    assert "photos: left out 1 folder behind links, such as photos/more: name what is wanted" in printed.err


def test_names_that_cannot_be_are_one_line(here, capsys):
    photo(Path("good.png"), "red")
    status, text = output(capsys, "a" * 300, "b" * 300 + ".zip", "good.png")
    assert status == 1 and ["File name too long" in line for line in text.splitlines()] == [True, True, False]
    Path("loop.csv").symlink_to("loop.csv")
    for name, said in (
        ("a" * 300 + ".csv", r"--out: got a+\.csv; takes the name of a file \(.*File name too long"),
        ("loop.csv", r"--out: got loop\.csv; takes the name of a file \(.*loop"),
        ("/proc/a.csv", r"--out: got /proc/a\.csv, where no file can be made"),
        ("", "--out: got nothing; takes a name that ends in"),
    ):
        with pytest.raises(UserError, match=said):
            predict.main(["good.png", "--out", name])
    with pytest.raises(UserError, match="got an empty path; takes images"):
        predict.main(["good.png", ""])


def test_json_is_a_list_with_all_probabilities(here, capsys):
    photo(Path("käfer.png"), "blue")
    Path("broken.png").write_bytes(b"\x89PNG")
    status, text = output(capsys, "käfer.png", "broken.png", "--json")
    first, second = json.loads(text)
    assert status == 1
    assert first == {
        "path": "käfer.png",
        "class": "blue",
        "probability": pytest.approx(0.982014, abs=1e-6),
        "possible": ["blue"],
        "unlike": None,
        "probabilities": {"blue": pytest.approx(0.982014, abs=1e-6), "red": pytest.approx(0.017986, abs=1e-6)},
    }
    assert sorted(second) == ["error", "path"]


def test_csv_has_a_header_and_quotes_what_must_be(here, capsys):
    photo(Path("a,b.png"), "red")
    status, text = output(capsys, "a,b.png", "gone.png", "--csv")
    assert text.splitlines()[0] == "path,class,probability,possible,unlike,error"
    good, bad = csv.DictReader(io.StringIO(text))
    assert (status, good["path"], good["class"], good["error"]) == (1, "a,b.png", "red", "")
    assert (bad["path"], bad["class"]) == ("gone.png", "")
    assert "No such file" in bad["error"]


# The title of the window, a colour, a line that looks like a prediction, a turned direction.
FOREIGN = [
    "\x1b]0;owned\x07.png",
    "\x9b31m.png",
    "a.png  red  0.9999\nb.png",
    "\u202egnp.a.png",
    "=1+1.png",
    "[red].png",
]


def test_a_name_that_would_act_on_the_terminal_is_one_line_and_shown(here, capsys):
    for name in FOREIGN:
        photo(Path("photos", name), "red")
    status, text = output(capsys, "photos")
    assert status == 0
    assert [line.rsplit(maxsplit=2) for line in text.splitlines()] == [
        [f"photos/{name}", "red", "0.9820"]
        for name in [
            r"\x1b]0;owned\x07.png",
            "=1+1.png",
            "[red].png",
            r"a.png  red  0.9999\nb.png",
            r"\x9b31m.png",
            r"\u202egnp.a.png",
        ]
    ]
    _, text = output(capsys, "photos", "--json")
    assert {entry["path"].removeprefix("photos/") for entry in json.loads(text)} == set(FOREIGN)
    assert len(text.splitlines()) == len(FOREIGN) + 2 and not {"\x1b", "\x9b", "\u202e"} & set(text)


def test_no_cell_of_csv_is_a_formula(here, capsys):
    for name in ("=1+1.png", "-b.png", "'@c.png"):
        photo(Path(name), "red")
    _, text = output(capsys, "=1+1.png", "./-b.png", "'@c.png", "--csv")
    assert [row[0] for row in csv.reader(io.StringIO(text))][1:] == ["'=1+1.png", "'-b.png", "''@c.png"]
    assert [row[0] for row in cells.read(text)][1:] == ["=1+1.png", "-b.png", "'@c.png"]


def test_the_images_of_a_zip(here, capsys):
    with zipfile.ZipFile("photos.zip", "w") as archive:
        for name, colour in (("x/2.png", "blue"), ("x/1.png", "red")):
            archive.write(photo(Path("outside.png"), colour), name)
        archive.writestr("readme.md", "no image")
    status, text = output(capsys, "photos.zip")
    assert status == 0
    assert [line.split()[:2] for line in text.splitlines()] == [
        ["photos.zip/x/1.png", "red"],
        ["photos.zip/x/2.png", "blue"],
    ]


def test_three_classes(here, capsys):
    classifier(Path("three.keras"), ("r", "g", "b"))
    photo(Path("leaf.png"), (0, 255, 0))
    _, text = output(capsys, "leaf.png", "--model", "three.keras", "--json")
    (entry,) = json.loads(text)
    assert entry["class"] == "g"
    assert list(entry["probabilities"]) == ["r", "g", "b"]
    assert sum(entry["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_exactly_one_half_is_class_one(here):
    answers = Answers(np.array([[0.5, 0.5]], "float32"), None, None, None)
    assert Classifier.load().prediction(answers, 0).label == "red"


def test_a_classifier_that_averages_over_flips_gives_its_average(here, capsys):
    classifier(Path("mean.keras"), axes=(1, 2))
    photo(Path("one.png"), "red")
    _, text = output(capsys, "one.png", "--model", "mean.keras", "--json")
    (entry,) = json.loads(text)
    assert entry["probabilities"] == pytest.approx({"blue": 0.017986, "red": 0.982014}, abs=1e-6)


def engine(here, name):
    """Makes it a project whose params.yaml names the engine."""
    text = (ROOT / "params.yaml").read_text()
    changed = text.replace("\n  engine: tensorflow", f"\n  engine: {name}")
    assert (name == "tensorflow") == (changed == text)
    (here / "params.yaml").write_text(changed)
    (here / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())


def test_the_project_s_engine_runs_its_classifier(here, capsys, monkeypatch):
    pytest.importorskip("openvino")
    photo(Path("one.png"), "red")
    used, compiled = [], openvino.compiled
    monkeypatch.setattr(openvino, "compiled", lambda *given: used.append(given) or compiled(*given))
    _, plain = output(capsys, "one.png")
    engine(here, "openvino")
    _, own = output(capsys, "one.png")
    assert own == plain and len(used) == 1
    for named in (["--runtime", "keras"], ["--model", str(results.CLASSIFIER)]):
        assert output(capsys, "one.png", *named)[1] == plain
    engine(here, "tensorflow")
    output(capsys, "one.png")
    assert len(used) == 1


def test_an_engine_that_is_not_installed_is_one_line(here, monkeypatch):
    engine(here, "openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match="extract.engine: got openvino, which is not installed: pip install -r"):
        predict.main([photo(Path("one.png"), "red")])


def test_without_a_model_one_line_says_so(here):
    with pytest.raises(UserError, match=r"other\.keras"):
        predict.main(["x.jpg", "--model", "other.keras"])
    Path("text.keras").write_text("no model")
    with pytest.raises(UserError, match=r"text\.keras"):
        predict.main(["x.jpg", "--model", "text.keras"])


def test_as_a_command_data_and_messages_go_their_own_ways(here):
    photo(Path("one.png"), "red")
    command = [sys.executable, "-m", "headstart.predict", "one.png", "gone.png"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["one.png", "gone.png"]
    assert len(done.stderr.splitlines()) == 1  # how many images, how fast
    assert done.stderr.startswith("predict: 2 images")


def deep(path, values):
    Image.fromarray(np.full((20, 30), values, np.uint16)).save(path)
    return path


def test_deep_images_are_seen_as_in_training_and_others_are_named(here, capsys):
    model, details = file.load(results.CLASSIFIER)
    value_range = Range(1000, 2000)
    file.save(model, Path("deep.keras"), details._replace(value_range=value_range))
    files = [deep("a.png", 1500), photo(Path("b.png"), "red")]
    assert predict.main([*files, "--json", "--model", "deep.keras"]) == 0
    output = capsys.readouterr()
    assert [entry["class"] for entry in json.loads(output.out)] == ["red", "red"]  # grey is a tie
    assert (
        "1 image of 8 bits: 0 to 255 was taken as black to white; of deeper ones the classifier takes 1000 to"
        in output.err
    )
    assert output.err.endswith("the classifier takes 1000 to 2000, so 8 bits should come from that range\n")
    depths = Depths()
    depths.counts.update({16: 3})
    assert depths.of_another(value_range) is None
    assert predict.main([*files, "--csv"]) == 0
    said = "1 image of more than 8 bits, and the classifier was trained on 8: what the file says was taken as black to"
    assert said in capsys.readouterr().err
    depths.counts = Counter({8: 3})
    assert depths.of_another(None) is None
    assert depths.of_another(value_range) and depths.of_another(value_range._replace(plain=True)) is None


def test_files_without_an_ending_in_a_folder(here, capsys):
    Path("photos").mkdir()
    Image.new("RGB", (8, 8), "red").save("photos/n1", "JPEG")
    Path("photos/README").write_text("Taken in May.")
    os.mkfifo("photos/pipe")
    assert predict.main(["photos"]) == 0
    output = capsys.readouterr()
    assert [line.split()[:2] for line in output.out.splitlines()] == [["photos/n1", "red"]]
    assert "photos: left out 2 that are no images" in output.err


def trained(here, coverage=0.95, at_least=0.2):
    """The classifier of `here`, calibrated at temperature 2, that keeps the features of two red and two blue images."""
    network, details = file.load(results.CLASSIFIER)
    known = unlike.Known(unlike.unit(np.array([[1, 0, 0.02], [1, 0, 0.0], [0, 0, 1], [0.02, 0, 1]])), 0.05)
    known = known._replace(features=known.features.repeat(5, axis=0).astype("float16"))
    rule = Rule(2.0, coverage=coverage, at_least=at_least)
    file.save(joining.calibrated(network, 2.0), results.CLASSIFIER, details._replace(rule=rule, known=known))


def test_what_is_not_sure_names_all_classes_that_remain_and_what_is_unlike_is_marked(here, capsys):
    trained(here)
    files = [photo(Path("red.png"), "red"), photo(Path("both.png"), (140, 0, 120)), photo(Path("green.png"), "green")]
    status, text = output(capsys, *files)
    assert status == 0
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "red.png red 0.8808",
        "both.png red or blue 0.5391 unlike the training images",
        "green.png red or blue 0.5000 unlike the training images",
    ]
    assert len({line.index("0.") for line in text.splitlines()}) == 1
    _, text = output(capsys, *files, "--json")
    first, second, _ = json.loads(text)
    assert (first["possible"], first["unlike"]) == (["red"], False)
    assert (second["possible"], second["unlike"]) == (["red", "blue"], True)
    _, text = output(capsys, *files, "--csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["possible"] for row in rows] == ["", '["red", "blue"]', '["red", "blue"]']
    assert [row["unlike"] for row in rows] == ["0", "1", "1"]


def test_of_many_possible_classes_the_likeliest_are_named():
    assert predict.named(["a"]) == "a"
    assert predict.named(["a", "b"]) == "a or b"
    assert predict.named(["a", "b", "c"]) == "a, b or c"
    assert predict.named(["a", "b", "c", "d"]) == "a, b or 2 others"
