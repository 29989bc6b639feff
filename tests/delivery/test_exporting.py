"""The exports of small classifiers of every kind, each on its own runtime."""

import importlib
import json
import os
import shutil
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from classifiers import head_params
from conftest import ROOT
from exports import KINDS, SIZE, made, pixels
from PIL import Image, ImageChops, ImageCms, PngImagePlugin

import headstart
from headstart.base.errors import UserError
from headstart.base.runtime import keras
from headstart.base.threads import THREADS
from headstart.classifier import file, joining
from headstart.classifier.details import Details, Rule
from headstart.delivery import exporting, runtimes
from headstart.delivery.runtimes import FORMATS
from headstart.images import decoding
from headstart.images.decoding import Broken, Square
from headstart.training import head


@pytest.fixture(scope="session")
def classifiers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifiers")
    return {kind: made(folder / f"{number}.keras", kind) for number, kind in enumerate(KINDS)}


@pytest.fixture(scope="session")
def exported(classifiers, tmp_path_factory):
    """The folder of a classifier's export, by its kind, format and precision; made when it is first wanted."""
    folder, there = tmp_path_factory.mktemp("exports"), {}

    def export(kind, form, precision="float32"):
        if (kind, form, precision) not in there:
            path = there[kind, form, precision] = folder / str(len(there)) / form
            images = pixels(50) if precision == "int8" else None
            exporting.write(path, *file.load(classifiers[kind]), "0" * 64, form, images)
        return there[kind, form, precision]

    return export


FLIPS, LAYERS = "five classes, averaged over flips", "a head with layers, each place by itself"


@pytest.mark.parametrize(
    ("kind", "form"),
    [*((kind, "onnx") for kind in KINDS), *((kind, form) for form in list(FORMATS)[1:] for kind in (FLIPS, LAYERS))],
)
def test_an_export_says_what_the_classifier_says(kind, form, classifiers, exported):
    own, other = headstart.Classifier.load(classifiers[kind]), headstart.Classifier.load(exported(kind, form))
    images = pixels(37)
    expected, given = own.answers(images), other.answers(images)
    assert np.abs(given.probabilities - expected.probabilities).max() < 1e-4
    assert np.abs(given.heat - expected.heat).max() < 1e-3
    if expected.distances is None:
        assert given.distances is None and given.nearest is None
    else:
        assert np.abs(given.distances - expected.distances).max() < 1e-4
        assert (given.nearest == expected.nearest).all()
    for number in range(len(images)):
        one, another = own.prediction(expected, number), other.prediction(given, number)
        assert (one.label, one.possible, one.unlike) == (another.label, another.possible, another.unlike)
    assert other.classes == own.classes and other.details.rule == own.details.rule


def photo(path, size, **options):
    rng = np.random.default_rng(2)
    small = Image.fromarray(rng.integers(0, 256, (7, 5, 3)).astype("uint8")).resize(size, Image.Resampling.BICUBIC)
    small.convert(options.pop("mode", "RGB")).save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path):
    """Files that are easily prepared otherwise: turned by EXIF, large, transparent, deep, of other colours."""
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = np.linspace(0, 1200, 60 * 40).reshape(60, 40).astype("uint16")
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(deep.astype("float32") * 7 - 1500).save(tmp_path / "float.tif")
    clear = Image.new("RGBA", (50, 30), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 120), (10, 5, 40, 25))
    clear.save(tmp_path / "clear.png")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    wide = srgb.replace(b"rXYZ", b"....").replace(b"gXYZ", b"rXYZ").replace(b"....", b"gXYZ")
    unused = Image.open(photo(tmp_path / "unused.bmp", (40, 30), mode="RGBA"))
    unused.putalpha(0)
    unused.save(tmp_path / "unused.tga")
    gamma = PngImagePlugin.PngInfo()
    gamma.add(b"gAMA", struct.pack(">I", 100_000))
    return [
        photo(tmp_path / "wide.jpg", (80, 30), exif=exif, icc_profile=wide),
        photo(tmp_path / "wide.png", (40, 30), mode="RGBA", icc_profile=wide),
        photo(tmp_path / "damaged.png", (40, 30), icc_profile=wide[:300]),
        photo(tmp_path / "gamma.png", (40, 30), pnginfo=gamma),
        photo(tmp_path / "turned.jpg", (80, 30), exif=exif),
        photo(tmp_path / "large.jpg", (901, 577), quality=60),
        photo(tmp_path / "grey.jpg", (300, 200), mode="L"),
        photo(tmp_path / "palette.gif", (33, 21), mode="P"),
        photo(tmp_path / "turned.tif", (60, 40), mode="L", exif=exif),
        *(tmp_path / "deep.png", tmp_path / "float.tif", tmp_path / "unused.tga"),
        tmp_path / "clear.png",
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_the_program_beside_an_export_predicts_the_same_with_its_runtime_alone(form, classifiers, exported, photos):
    kind = "costs, deep images" if form == "onnx" else FLIPS
    folder = exported(kind, form)
    own = headstart.Classifier.load(classifiers[kind]).predict(photos)
    # Nothing but its own folder: neither the project nor Keras is there to be imported.
    code = (
        "import sys, runpy; sys.path = [path for path in sys.path if path]; sys.modules['keras'] = None; "
        "sys.modules['headstart'] = None; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(folder / "predict.py"), *map(str, photos)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PYTHONPATH": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line, path, prediction in zip(done.stdout.splitlines(), photos, own, strict=True):
        said = json.loads(line)
        assert (said["path"], said["class"], said["unlike"]) == (str(path), prediction.label, prediction.unlike)
        assert said["probability"] == pytest.approx(prediction.probability, abs=1e-4), path
        assert said["possible"] == prediction.possible


def test_the_example_beside_an_export_has_the_probabilities_that_are_written_beside_it(exported):
    folder = exported("two classes", "onnx")
    said = json.loads((folder / "classifier.json").read_text())["example"]
    given = headstart.Classifier.load(folder).predict_proba([folder / said["file"]])
    assert given[0] == pytest.approx(said["probabilities"], abs=1e-4)
    # Whoever forgets to turn it gets something else.
    flat = np.asarray(Image.open(folder / said["file"]))
    assert np.abs(headstart.Classifier.load(folder).predict_proba([flat])[0] - said["probabilities"]).max() > 1e-3


@pytest.mark.parametrize("form", runtimes.PRECISIONS["int8"])
def test_an_export_in_8_bits_is_smaller_and_says_nearly_the_same(form, classifiers, exported):
    folder, images = exported(FLIPS, form, "int8"), pixels(60)
    own, other = headstart.Classifier.load(classifiers[FLIPS]), headstart.Classifier.load(folder)
    expected, given = own.answers(images), other.answers(images)
    assert (given.probabilities.argmax(1) == expected.probabilities.argmax(1)).mean() > 0.8
    assert 1e-4 < np.abs(given.probabilities - expected.probabilities).mean() < 0.1
    assert np.abs(given.distances - expected.distances).mean() < 0.05
    said = json.loads((folder / "classifier.json").read_text())
    assert given.heat is None and said["precision"] == "int8"
    # Its example is its own.
    example = other.predict_proba([folder / said["example"]["file"]])[0]
    assert example == pytest.approx(said["example"]["probabilities"], abs=1e-6)


def test_no_weight_in_8_bits_overflows_where_a_processor_adds_in_16(exported):
    """Two products of 255 and 127 do, which costs accuracy on processors without VNNI; of 255 and 64 they do not."""
    import onnx

    (path,) = exported(FLIPS, "onnx", "int8").glob("*.onnx")
    arrays = [onnx.numpy_helper.to_array(value) for value in onnx.load(path).graph.initializer]
    weights = [array for array in arrays if array.dtype == "int8" and array.ndim > 1]
    assert weights and all(1 < np.abs(array.astype(int)).max() <= 64 for array in weights)


def test_many_biases_that_both_views_share_stay_apart_in_8_bits(tmp_path):
    """Each is copied for the second view, under a name of the quantisation's own: with hundreds of values one met."""
    inputs = maps = keras.Input((SIZE, SIZE, 3))
    for number in range(60):
        maps = keras.layers.Conv2D(4, 3, 1 if number else 4, "same", bias_initializer="random_normal")(maps)
    top = head.build(maps.shape[1:], 3, head_params())
    whole = joining.averaged(joining.join(keras.Model(inputs, maps), top, lambda pixels: pixels / 127.5 - 1), (2,))
    about = Details(["a", "b", "c"], SIZE, "averaged", None, (2,), Rule(1.2), None)
    file.save(joining.calibrated(whole, 1.2), tmp_path / "classifier.keras", about)
    exporting.write(tmp_path / "onnx", *file.load(tmp_path / "classifier.keras"), "0" * 64, "onnx", pixels(20))
    given = headstart.Classifier.load(tmp_path / "onnx").predict_proba(list(pixels(9)))
    assert np.isfinite(given).all() and given.sum(1) == pytest.approx(1, abs=1e-3)


def test_a_converter_that_fails_is_told_in_one_line(classifiers, tmp_path, monkeypatch):
    def fail(*_, **options):
        raise ValueError(f"no words for\nthat, not in {options['format']}")

    network, details = file.load(classifiers[FLIPS])
    monkeypatch.setattr(keras.Model, "export", fail)
    for form in FORMATS:
        with pytest.raises(
            UserError, match=r"^the classifier cannot be written for (\w+) in float32 \(no words for that, "
        ):
            exporting.write(tmp_path / form, network, details, "0" * 64, form, None)


def test_an_export_that_is_damaged_is_told_in_one_line(exported, tmp_path):
    """One byte of a network that is another one would give other answers, and say nothing."""
    for form in FORMATS:
        folder = shutil.copytree(exported(FLIPS, form), tmp_path / form)
        about = json.loads((folder / "classifier.json").read_text())
        for name in about["files"]:
            kept = bytearray((folder / name).read_bytes())
            kept[len(kept) // 2] ^= 1
            for content in (bytes(kept), b""):
                whole = (folder / name).read_bytes()
                (folder / name).write_bytes(content)
                with pytest.raises(
                    UserError, match=f"{name} is damaged, or of another export: run `make export"
                ) as error:
                    headstart.Classifier.load(folder)
                assert "\n" not in str(error.value)
                (folder / name).write_bytes(whole)
        said = folder / "classifier.json"
        for content, told in (
            ("{}", "is damaged"),
            (json.dumps(about | {"classes": []}), "is damaged"),
            (json.dumps(about | {"format": "pmml"}), "is damaged"),
            (json.dumps(about | {"files": {"../secret": "0"}}), "it names files outside of its folder"),
            (json.dumps(about | {"files": {"/etc/hostname": "0"}}), "it names files outside of its folder"),
        ):
            said.write_text(content)
            with pytest.raises(UserError, match=told):
                headstart.Classifier.load(folder)
        said.write_text(json.dumps(about | {"classes": [*about["classes"], "one more"]}))
        with pytest.raises(UserError, match="gives no probabilities of 6 classes"):
            headstart.Classifier.load(folder).answers(pixels(1))
        said.unlink()
        with pytest.raises(UserError, match=r"holds no classifier\.json"):
            headstart.Classifier.load(folder)


def test_another_name_is_not_taken_for_the_export_beside_it(exported):
    folder = exported(FLIPS, "onnx")
    assert headstart.Classifier.load(folder / "classifier.onnx").classes == headstart.Classifier.load(folder).classes
    with pytest.raises(UserError, match=r"no .*typo\.onnx: takes"):
        headstart.Classifier.load(folder / "typo.onnx")
    with pytest.raises(UserError, match=r"example\.jpg is no classifier: of this export that is .*classifier\.onnx"):
        headstart.Classifier.load(folder / "example.jpg")


WORKER = """
import json, sys
from pathlib import Path
from headstart.delivery import spread
files, main = spread.content(Path(sys.argv[1]))
worker = spread.Worker(files, main, "tensorflow", 1)
given, counts, _ = worker(spread.Job("", 4, sys.argv[2:], sys.argv[2:]))
print(json.dumps([[entry["probabilities"] for entry in given], counts]))
if "tensorflow" in sys.modules:
    assert sys.modules["tensorflow"].config.threading.get_intra_op_parallelism_threads() == 2
"""


@pytest.mark.parametrize("form", ["keras", "a file in it", *FORMATS])
def test_a_process_of_a_cluster_gets_all_that_a_classifier_needs(form, classifiers, exported, photos):
    """Its own folder of files, whichever way the classifier was named; and its share of the machine."""
    path = classifiers[FLIPS] if form == "keras" else exported(FLIPS, form if form in FORMATS else "onnx")
    path = path / "classifier.onnx" if form == "a file in it" else path
    command = [sys.executable, "-c", WORKER, str(path), *map(str, photos[:3])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = headstart.Classifier.load(path).predict(photos[:3])
    rows, counts = json.loads(done.stdout)
    assert counts == {"8": 3}
    for given, prediction in zip(rows, said, strict=True):
        assert given == pytest.approx(prediction.probabilities, abs=1e-4)


@pytest.mark.parametrize("form", ["onnx", "openvino", "tflite"])
def test_a_runtime_takes_the_cores_that_it_is_given(form, exported, monkeypatch):
    """Beside others on a machine, each of which would take all of it."""
    module, told = importlib.import_module(FORMATS[form].module), []

    def told_of(function):
        return lambda *arguments, **named: told.append((arguments, named)) or function(*arguments, **named)

    owner, name = {
        "onnx": (module, "InferenceSession"),
        "openvino": (module.Core if form == "openvino" else None, "compile_model"),
        "tflite": (module, "Interpreter"),
    }[form]
    monkeypatch.setattr(owner, name, told_of(getattr(owner, name)))
    monkeypatch.setattr(runtimes, "_share", None)
    expected = headstart.Classifier.load(exported(FLIPS, form)).answers(pixels(3)).probabilities
    runtimes.share_of(1)
    given = headstart.Classifier.load(exported(FLIPS, form)).answers(pixels(3)).probabilities
    cores = {
        "onnx": lambda arguments, named: arguments[1].intra_op_num_threads,
        "openvino": lambda arguments, named: arguments[3].get("INFERENCE_NUM_THREADS"),
        "tflite": lambda arguments, named: named["num_threads"],
    }[form]
    whole = {"onnx": 0, "openvino": None, "tflite": THREADS}[form]
    assert [cores(*call) for call in told] == [whole, 1]
    np.testing.assert_allclose(given, expected, atol=1e-6)


@pytest.mark.parametrize("form", ["openvino", "tflite"])
def test_threads_may_share_a_classifier(form, exported):
    classifier, images = headstart.Classifier.load(exported(FLIPS, form)), pixels(64)
    expected = classifier.answers(images).probabilities
    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(lambda at: classifier.answers(images[at % 8 : 64 - at % 5]).probabilities, range(40)))
    for at, probabilities in enumerate(given):
        np.testing.assert_allclose(probabilities, expected[at % 8 : 64 - at % 5], atol=1e-5)


def test_a_program_keeps_its_own_errors(classifiers):
    """What commands say of a full disk or a missing file is for their users; a program has its own way."""
    code = (
        "import sys; sys.excepthook = lambda *error: print('mine:', error[0].__name__); import headstart; "
        "headstart.Classifier; open('/')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("mine: IsADirectoryError\n", "")


def test_the_program_beside_an_export_names_what_it_cannot_read_and_goes_on(exported, tmp_path):
    (tmp_path / "no.jpg").write_text("no image")
    good = photo(tmp_path / "good.jpg", (80, 30))
    command = [sys.executable, str(exported(FLIPS, "onnx") / "predict.py")]
    paths = [str(path) for path in (tmp_path / "no.jpg", tmp_path / "gone.jpg", good)]
    done = subprocess.run([*command, *paths], capture_output=True, text=True)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and done.stderr == "" and [of["path"] for of in said] == paths
    assert said[0]["error"] == "not an image that Pillow reads" and "No such file" in said[1]["error"]
    assert said[2].keys() == {"path", "class", "probability", "possible", "unlike"}
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("takes images: python ")


def written_tiff(values, bits, form, colours=1, **more):
    """A TIFF, uncompressed, in one strip. values: (h, w); bits, form, colours: of its tags; more: others."""
    content, (height, width) = values.tobytes(), values.shape
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: colours, 273: 8, 277: 1, 278: height, 279: len(content)}
    tags |= {339: form} | {int(name.removeprefix("tag")): value for name, value in more.items()}
    listed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return (
        struct.pack("<2sHI", b"II", 42, 8 + len(content)) + content + struct.pack("<H", len(tags)) + listed + bytes(4)
    )


def test_the_program_beside_an_export_reads_a_tiff_as_headstart_does_or_refuses_it(exported, tmp_path):
    """What Pillow takes for other values gave another class, and nobody was told."""
    deep = np.linspace(0, 60_000, 48 * 32).reshape(48, 32).astype("uint16")
    packed = np.packbits((deep[..., None] >> np.arange(4, 16)[::-1] & 1).astype("bool").reshape(48, -1), axis=1)
    files = {
        "deep": (written_tiff(deep, 16, 1), True),
        "12 bits": (written_tiff(packed, 12, 1, tag256=32), True),
        "8 bits": (written_tiff((deep >> 8).astype("uint8"), 8, 1), True),
        "8 bits, white is 0": (written_tiff((deep >> 8).astype("uint8"), 8, 1, 0), True),
        "deep, white is 0": (written_tiff(deep, 16, 1, 0), False),
        "a sign": (written_tiff((deep >> 8).astype("int16").astype("int8"), 8, 2), False),
        "32 bits": (written_tiff(deep.astype("uint32") << 16, 32, 1), False),
        "no data": (written_tiff(deep, 16, 1, tag42113=0x30), False),
    }
    for name, (content, _) in files.items():
        (tmp_path / f"{name}.tif").write_bytes(content)
    paths = [str(tmp_path / f"{name}.tif") for name in files]
    folder = exported("two classes", "onnx")
    done = subprocess.run([sys.executable, str(folder / "predict.py"), *paths], capture_output=True, text=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = headstart.Classifier.load(folder).predict(paths)
    for line, (name, (_, is_read)), prediction in zip(done.stdout.splitlines(), files.items(), own, strict=True):
        said = json.loads(line)
        if is_read:
            assert said["probability"] == pytest.approx(prediction.probability, abs=1e-4), name
        else:
            assert said["error"].startswith("a TIFF that Pillow misreads: save it as"), name


def test_the_program_beside_an_export_refuses_colours_of_which_pillow_keeps_8_bits(exported, tmp_path):
    deep = np.arange(12 * 12 * 3, dtype=">u2").reshape(12, 12, 3)
    (tmp_path / "colour.ppm").write_bytes(b"P6 12 12 4095\n" + deep.tobytes())
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    parts = (b"IHDR", struct.pack(">IIBBBBB", 12, 12, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    chunks = [struct.pack(">I", len(of)) + name + of + struct.pack(">I", zlib.crc32(name + of)) for name, of in parts]
    (tmp_path / "colour.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    command = [sys.executable, str(exported("two classes", "onnx") / "predict.py")]
    paths = [str(tmp_path / "colour.ppm"), str(tmp_path / "colour.png")]
    paths.append(str(photo(tmp_path / "plain.ppm", (20, 20))))
    done = subprocess.run([*command, *paths], capture_output=True, text=True)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [of.get("error", "")[:17] for of in said] == ["16 bits in colour", "16 bits in colour", ""]


def test_the_program_beside_an_export_refuses_what_pillow_scales_or_takes_for_a_negative(exported, tmp_path):
    deep = np.linspace(30_768, 34_000, 48).reshape(6, 8).astype("uint16")
    Image.fromarray(deep).save(tmp_path / "16.jp2")
    (tmp_path / "16.pgm").write_bytes(b"P5 8 6 65535\n" + deep.astype(">u2").tobytes())
    (tmp_path / "12.pgm").write_bytes(b"P5 8 6 4095\n" + (deep - 30_768).astype(">u2").tobytes())
    data = bytearray((tmp_path / "16.jp2").read_bytes())
    data[data.index(b"\xff\x4f\xff\x51") + 42] = 11
    (tmp_path / "12.jp2").write_bytes(data)
    ImageChops.invert(Image.new("CMYK", (8, 6), "red")).save(tmp_path / "adobe.jpg")
    data = (tmp_path / "adobe.jpg").read_bytes()
    at = data.index(b"Adobe") - 4
    (tmp_path / "ink.jpg").write_bytes(data[:at] + data[at + 16 :])
    paths = [str(tmp_path / name) for name in ("16.jp2", "16.pgm", "adobe.jpg", "12.jp2", "12.pgm", "ink.jpg")]
    folder = exported("two classes", "onnx")
    done = subprocess.run([sys.executable, str(folder / "predict.py"), *paths], capture_output=True, text=True)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = headstart.Classifier.load(folder).predict(paths[:3])
    assert [of["probability"] for of in said[:3]] == pytest.approx([of.probability for of in own], abs=1e-4)
    scaled = "a PGM or JPEG 2000 of 10 or 12 bits, which Pillow scales: save it as PNG or TIFF of 16"
    assert [of["error"] for of in said[3:5]] == [scaled, scaled]
    assert said[5]["error"].startswith("a CMYK JPEG without Adobe's mark")


@pytest.mark.parametrize("resizing", decoding.RESIZING)
def test_the_program_beside_an_export_makes_squares_as_headstart_does(resizing, tmp_path, monkeypatch):
    shutil.copy(Path(exporting.__file__).parent / "examples/contract.py", tmp_path / "contract_of_test.py")
    (tmp_path / "classifier.json").write_text(json.dumps({"size": 24, "resizing": resizing}))
    monkeypatch.syspath_prepend(tmp_path)
    contract = importlib.import_module("contract_of_test")
    del sys.modules["contract_of_test"]
    for number, size in enumerate([(80, 30), (31, 90), (24, 24), (1, 200), (200, 1)]):
        path = photo(tmp_path / f"{number}.png", size)
        expected = decoding.read(path.read_bytes(), Square(24, resizing))
        np.testing.assert_array_equal(contract.pixels(path), expected[None])
        assert expected.std() > 1


def test_a_program_that_was_changed_is_kept_beside_the_new_one(exported, tmp_path, capsys):
    folder, new = (shutil.copytree(exported(FLIPS, "onnx"), tmp_path / name) for name in ("onnx", "made"))
    (folder / "predict.py").write_text("# my own\n")
    (folder / "notes.txt").write_text("mine")
    exporting.put(new, folder)
    assert (folder / "predict_1.py").read_text() == "# my own\n" and (folder / "notes.txt").read_text() == "mine"
    assert "ONNX Runtime alone" in (folder / "predict.py").read_text() and not (folder / "contract_1.py").exists()
    said = f"export: {folder / 'predict.py'} was another one: it is kept as {folder / 'predict_1.py'}\n"
    assert capsys.readouterr().out == said
    exporting.put(shutil.copytree(exported(FLIPS, "onnx"), tmp_path / "made"), folder)
    assert capsys.readouterr().out == "" and not (folder / "predict_2.py").exists()


def test_rows_of_an_export_in_8_bits_are_told_from_the_classifiers(classifiers, exported):
    own, float32 = headstart.Classifier.load(classifiers[FLIPS]), headstart.Classifier.load(exported(FLIPS, "onnx"))
    int8 = [headstart.Classifier.load(exported(FLIPS, form, "int8")) for form in runtimes.PRECISIONS["int8"]]
    assert own.version == own.sha256 and float32.version == float32.sha256
    versions = {classifier.version for classifier in int8}
    assert len(versions) == len(int8) and float32.version not in versions


def test_a_program_gets_what_is_wrong_with_its_images(classifiers, tmp_path):
    classifier = headstart.Classifier.load(classifiers["two classes"])
    with pytest.raises(Broken, match=r"nothing\.jpg: No such file"):
        classifier.predict([tmp_path / "nothing.jpg"])
    (tmp_path / "no.jpg").write_text("no image")
    with pytest.raises(Broken, match=r"no\.jpg: not an image"):
        classifier.predict([pixels(1)[0], tmp_path / "no.jpg"])
    for wrong in ("photo.jpg", tmp_path / "a", np.zeros((9, 9, 3), "uint8")):
        with pytest.raises(TypeError, match="takes several images"):
            classifier.predict(wrong)
    for wrong in (Image.new("RGB", (9, 9)), b"\x89PNG"):
        with pytest.raises(TypeError, match="takes paths, or arrays"):
            classifier.predict([wrong])
    for wrong in (np.zeros((9, 9), bool), np.zeros((9, 9, 3), "int8")):
        with pytest.raises(Broken, match="image 1: an array of (bool|int8) is no image: takes uint8"):
            classifier.predict([wrong])
    grey = pixels(1)[0][:, :, 0]
    with pytest.warns(UserWarning, match="1 image of more than 8 bits, and the classifier was trained on 8"):
        classifier.predict([grey, grey.astype("int32")])
    with pytest.raises(Broken, match="no path: embedded null byte"):
        classifier.predict(["a\0b"])
    with pytest.raises(Broken, match=r"image 2: an array \(2, 3, 4, 5\)"):
        classifier.predict([pixels(1)[0], np.zeros((2, 3, 4, 5), "uint8")])
    assert classifier.predict([]) == [] and classifier.predict_proba([]).shape == (0, 2)


def test_an_export_has_the_same_bytes_each_time(classifiers, exported, tmp_path):
    code = (
        "import sys; from pathlib import Path; from headstart.classifier import file; "
        "from headstart.delivery import exporting; "
        "exporting.write(Path(sys.argv[2]), *file.load(Path(sys.argv[1])), '0' * 64, 'onnx', None)"
    )
    command = [sys.executable, "-c", code, str(classifiers[FLIPS]), str(tmp_path / "onnx")]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "7"}, check=True)
    for path in exported(FLIPS, "onnx").iterdir():
        assert path.read_bytes() == (tmp_path / "onnx" / path.name).read_bytes(), path.name
