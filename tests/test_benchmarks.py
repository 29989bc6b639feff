"""The published figures: what is measured stays measured, and the tables say what the records say."""

import json
import re
import shutil
import sys
import warnings
from pathlib import Path

import pytest
from conftest import ROOT, SMALL, warm_python

from benchmarks import choices, command, curves, growth, measuring, records, runs, tables, training, workspace
from benchmarks.measuring import Measurement
from benchmarks.tables import Row, Table
from headstart.artifacts import results
from headstart.base.errors import UserError

MARKED = "# Page\n\n<!-- table: fake -->\n<!-- end -->\n\ntext\n\n<!-- table: other -->\nas it was\n<!-- end -->\n"


def copy(names: list[str], path: Path) -> None:
    """Copy files and folders of the project to `path`."""
    for name in names:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, path / name)


@pytest.fixture
def house(tmp_path, monkeypatch) -> Path:
    """A copy of what the benchmarks read and write, without records."""
    path = tmp_path / "house"
    copy(["headstart", "stages", "presets", "docs", "dvc.yaml", "params.yaml", "README.md"], path)
    copy(["metrics/test.json", "metrics/dataset.json", "metrics/inspection.json"], path)
    monkeypatch.setattr(workspace, "ROOT", path)
    monkeypatch.setattr(workspace, "SCRATCH", path / "tmp/benchmarks")
    monkeypatch.setattr(records, "RECORDS", path / "benchmarks/records")
    return path


class Fake:
    """Measurements that count how often they are made."""

    def __init__(self, names: str, broken: dict[str, BaseException] | None = None):
        self.made, self.broken = [], broken or {}
        self.all = {name: Measurement(name, self.measure, 1, "solar_cells", stages=("fetch",)) for name in names}

    def measure(self, measurement: Measurement) -> dict:
        self.made.append(measurement.name)
        if measurement.name in self.broken:
            raise self.broken[measurement.name]
        return {"accuracy": len(self.made) / 10}

    def table(self, document: str = "docs/page.md") -> Table:
        rows = [Row(name, (f"run {name}",), self.cells, (run,), ("1",)) for name, run in self.all.items()]
        return Table("fake", document, ("run", "accuracy", "seeds"), tuple(rows), "python -m fake")

    @staticmethod
    def cells(numbers: list[dict]) -> list[str]:
        return [tables.spread([run["accuracy"] for run in numbers])]

    def run(self, older: bool = False) -> list[str]:
        return measuring.run(measuring.planned(self.all.values(), older), lambda: None)


def publish_imported(table: str, row: str, cells: list[str]) -> Path:
    path = records.RECORDS / f"imported/{table}/{row}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"cells": cells, "date": "2001-02-03", "cores": 4, "processor": "old", "commit": "abc", "imported": True}
    path.write_text(json.dumps(facts))
    return path


def test_what_is_done_stays_done_when_the_rest_is_stopped(house):
    fake = Fake("abc", {"b": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        fake.run()
    assert fake.made == ["a", "b"]
    assert [run.state() for run in fake.all.values()] == ["measured", "missing", "missing"]
    fake.broken.clear()
    assert fake.run() == []
    assert fake.made == ["a", "b", "b", "c"]
    assert fake.run() == [] and len(fake.made) == 4
    record = records.read("a")
    assert record.numbers == {"accuracy": 0.1} and record.seed == 1 and record.cores >= 1 and record.date


def test_one_that_fails_does_not_stop_the_others(house, capsys):
    fake = Fake("abc", {"b": UserError("no disk: free some")})
    assert fake.run() == ["b"]
    assert fake.made == ["a", "b", "c"] and records.read("b") is None
    assert "b failed: no disk: free some" in capsys.readouterr().out


def test_it_says_what_runs_and_how_long_all_of_it_takes(house, capsys):
    Fake("abc").run()
    assert "[1/3] a: about 60 s; all that is left: about 3 min, until " in capsys.readouterr().out


def test_code_and_parameters_of_the_measured_stages_make_a_record_older(house):
    fake = Fake("a")
    fake.run()
    run = fake.all["a"]
    for file, old, new, state in (
        ("headstart/training/loop.py", "import", "import ", "measured"),  # fetch does not run it
        ("presets/solar_cells.yaml", "# The default", "# A default", "measured"),
        ("params.yaml", "  dropout: 0.5", "  dropout: 0.4", "measured"),
        ("headstart/base/files.py", "import", "import  ", "older"),
        ("stages/fetch.py", "import", "import  ", "older"),
        ("presets/solar_cells.yaml", "  size: 224", "  size: 192", "older"),
    ):
        path = house / file
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new, 1))
        assert run.state() == state, file
        assert fake.table().older() == (["a"] if state == "older" else [])
        path.write_text(before)
    assert run.state() == "measured"


def test_what_is_older_is_kept_until_it_is_wanted_anew(house):
    fake = Fake("ab")
    fake.run()
    (house / "stages/fetch.py").write_text("# other code\n")
    fake.run()
    assert fake.made == ["a", "b"]
    fake.run(older=True)
    assert fake.made == ["a", "b", "a", "b"]
    assert fake.all["a"].state() == "measured"


def test_without_the_photographs_their_rows_stay_and_one_line_says_so(house, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEADSTART_SHARED", str(tmp_path))
    planned = measuring.planned([*runs.CATS, *runs.SOLAR_CELLS], older=False)
    assert planned == [*runs.SOLAR_CELLS]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and lines[0].startswith("left as they are: cats_vs_dogs/seed-1, cats_vs_dogs/seed-2")
    assert "set HEADSTART_SHARED" in lines[0]


def test_what_shares_an_extraction_follows_each_other(house, monkeypatch):
    monkeypatch.setattr(measuring.records, "bfloat16", lambda: True)
    values = {"fine_tune.cut": "block11"}
    mixed = [
        *runs.SOLAR_CELLS[1:2],
        *runs.runs("other", "solar_cells", 1, values=values, seeds=1),
        *runs.SOLAR_CELLS[:1],
    ]
    assert measuring.planned(mixed, older=False) == [mixed[0], mixed[2], mixed[1]]


def test_a_table_is_written_between_its_marks_and_nothing_else(house):
    fake, page = Fake("ab"), house / "docs/page.md"
    page.write_text(MARKED)
    imported = publish_imported("fake", "b", ["0.25 (0.2 – 0.3)"])
    fake.run()
    records.RECORDS.joinpath("b.json").unlink()
    assert tables.write([fake.table()]) == [page]
    text = page.read_text()
    assert "| run a | 0.1000 | 1 |\n| run b ¹ | 0.25 (0.2 – 0.3) | 1 |\n" in text
    assert f"Measured {records.read('a').date} on " in text and "`python -m fake`" in text
    assert "¹ Measured 2001-02-03 on 4 cores (old) at commit abc, with the earlier code and recipe" in text
    assert text.startswith("# Page\n\n<!-- table: fake -->\n") and text.endswith(MARKED.partition("\n\ntext")[2])
    assert tables.write([fake.table()]) == []
    assert fake.table().older() == ["the row b"]

    fake.table().forget_imported()
    assert imported.exists()
    fake.run()
    fake.table().forget_imported()
    assert not imported.exists()
    assert tables.write([fake.table()]) == [page]
    assert "| run b | 0.3000 | 1 |" in page.read_text() and "¹" not in page.read_text()


def test_a_document_without_the_marks_is_left_as_it_is(house):
    page, fake = house / "docs/page.md", Fake("a")
    page.write_text("# Page\n")
    assert tables.write([fake.table(), fake.table("docs/none.md")]) == []
    assert page.read_text() == "# Page\n" and not (house / "docs/none.md").exists()


def test_a_row_that_is_not_measured_says_so(house):
    assert "| run a | not measured yet | 1 |" in Fake("a").table().rendered()


def test_the_spread_over_seeds():
    assert tables.spread([0.5]) == "0.5000"
    assert tables.spread([0.5, 0.7]) == "0.6000 (0.500 – 0.700)"


def test_which_test_images_are_right_survives_the_record():
    numbers = {"right": {"head": f"{0b00101:x}"}, "test": {"images": 5}}
    assert training.right(numbers, "head").tolist() == [False, False, True, False, True]


def test_published_pages_and_presets_say_what_the_records_say(house):
    shutil.copytree(ROOT / "benchmarks/records", records.RECORDS)
    command.publish()
    pages = {table.document for table in (*command.RESULTS, *command.SPEED)}
    for name in (*sorted(pages), *map(str, Path("presets").glob("*.yaml"))):
        assert (house / name).read_text() == (ROOT / name).read_text(), (
            f"{name}: run python -m benchmarks.results --write"
        )
    for table in (*command.RESULTS, *command.SPEED):
        if table.document != "README.md":
            assert f"<!-- {table.kind}: {table.name} -->\n" in (house / table.document).read_text()


def made_up(measurement: Measurement) -> dict:
    """Numbers as the measurement gives them: of 100 test images the head gets 80 right, fine-tuning 5 more per step."""
    size, seed = measurement.values.get("train_images") or 1000, measurement.seed
    if measurement.measure is training.nudged:
        return {"accuracy": [0.9, 0.91, 0.9]}
    if measurement.name.startswith("trust/"):
        return {
            "trust/flipped": {"first": 38 + seed % 2, "found": 39, "suspects": 52, "before": 2},
            "trust/corrected": {"before": 0.97, "after": 0.975, "clean": 0.98, "corrected": 33 + seed},
            "trust/foreign": {"own": 0.01, "foreign": 0.99},
        }[measurement.name.partition("-")[0]]
    if measurement.measure is not training.measure:
        rate = {"rate": 92.0, "ratio": 0.92, "cpu": 0.9}
        return {
            "epochs": {"cached": 10.0, "without_determinism": 8.0, "live": 40.0},
            "checks": {"checked": 101.0, "unchecked": 100.0},
            "extract": {"extract": 95.0, "bare": 100.0, "ratio": 0.95},
            "spread": {f"{name}_{n}": 0.95 for name in ("ratio", "workers", "alone") for n in (1, 2)},
            "engines": {
                "tensorflow_float32": 90.0,
                "openvino_float32": 100.0,
                "openvino_bfloat16": 180.0,
                "ratio": 2.0,
            },
            "precision": {name: {"mean": 0.9, "deviation": 0.01} for name in ("float32", "bfloat16")},
            "head": {"accuracy": 0.991, "seconds": {"extract": 40.0, "train_head": 10.0}},
            "growth": {name: {"seconds": 2.5, "megabytes": 300} for name in (*measurement.stages, *growth.COMMANDS)},
            "make_repro": {"make_repro": 200.0 + seed, "dvc_repro": 1.2, "dvc_status": 0.8},
            "serving": {"requests": 80.0, "bare": 100.0, "batch": 16.0, "ratio": 0.8, "p50": 0.02, "p99": 0.05},
            "soak": {"requests": 9000}
            | dict.fromkeys(("second_megabytes", "last_megabytes"), 200.0)
            | dict.fromkeys(("second_files", "last_files"), 20.0),
            "predict": {name: {"bare": 100.0, "folder": rate, "zip": rate} for name in ("keras", "onnx")},
            "predict_s3": {"bare": 100.0, "folder": rate, "s3": rate},
        }[re.match(r"speed/(make_repro|predict_s3|[a-z]+)", measurement.name)[1]]
    differ = {name: {f"only_{of}": 1 for of in pair} | {"p": 1.0} for name, pair in results.COMPARISONS.items()}
    scores, right = {"images": 100, "mcnemar": differ}, {}
    for step, model in enumerate(training.PUBLISHED):
        count = 80 + 5 * step - 200 // size
        scores[model] = dict.fromkeys((*results.SCORES, "weighted_accuracy"), 0.5) | {"accuracy": count / 100}
        right[model] = f"{(1 << count) - 1:x}"
    curve = {"accuracy": [0.7, 0.8, 0.9, 0.8], "loss": [0.5, 0.4, 0.3, 0.4], "kept": 2}
    return {
        "seconds": dict.fromkeys(measurement.stages, 10.0 + seed),
        "megabytes": 1234.5,
        "validation": {"head": curve, "fine_tune": curve},
        "epochs": [50.0, 50.0],
        "test": scores,
        "trust": {
            "calibration": {"before": {"ece": 0.05}, "after": {"ece": 0.02, "ece_by_chance": 0.01}},
            "possible": {"coverage": 0.95, "one_class": 0.9},
            "decision": {f"{name}{end}": 0.9 for name in ("recall", "precision") for end in ("", "_low", "_high")},
            "unlike": {"share": 0.01},
        },
        "right": right,
    }


def test_every_row_is_made_of_what_its_measurements_give(house):
    everything = (*command.RESULTS, *command.SPEED)
    for measurement in {name: run for table in everything for name, run in table.measurements().items()}.values():
        facts = {"numbers": made_up(measurement), "seconds": 60.0, "code": measurement.code()}
        here = {"date": "2001-02-03", "cores": 2, "processor": "fast", "commit": "abc"}
        records.write(records.Record(measurement.name, measurement.preset, {}, measurement.seed, **facts, **here))
    rendered = {table.name: table.rendered().splitlines() for table in everything}
    for table in everything:
        rows = rendered[table.name][: len(table.rows) + 2]
        assert {row.count(" | ") for row in rows} == {len(table.header) - 1}, table.name
        assert not any("not measured" in row or "nan" in row for row in rows)
        foot = f"Measured 2001-02-03 on 2 cores (fast) at commit abc: `{table.command}`."
        assert rendered[table.name][len(rows) :] == ["", foot]
        assert table.older() == []
    assert {
        "| `solar_cells`, the default | 0.8000 (0.800 – 0.800) | 0.8500 (0.850 – 0.850) | 0.9000 (0.900 – 0.900) "
        "| 1 min 39 s | 1 – 3 |",
        "| `article`: validation accuracy; fine-tuned for 10 of its 200 epochs | 0.9000 (0.900 – 0.900) | 0.9000 | – "
        "| 168 min | 1 – 5; 1 |",
        "| `solar_cells`: the expert's probabilities against the classes made of them, averaged over flips "
        "| +0.00 | 1 | 0 of 3 seeds |",
        "| the article's fine-tuning, 10 of its 200 epochs | 0.9000 at best (epoch 2), 0.8000 at last; its head 0.7000 "
        "| 0.300 at best, 0.400 at last | 1 | `fine_tune.epochs=10` |",
        "| `block4` | 0.8333 | 0.3667 | 6, 0.0003 | 1 |",
        "| `cats_vs_dogs`, three draws | 39, 38, 39 of 40 | 39, 39, 39 of 40 | 0.75 | 2 |",
        "| `cats_vs_dogs`, three draws and seeds | 0.9700 (0.970 – 0.970) | 0.9750 (0.975 – 0.975) "
        "| 0.9800 (0.980 – 0.980) | 34, 35, 36 of 40 |",
        "| hashing arrays and syncing outputs, of the default run | +1.0 s, 1.0% | under 2 % |",
        "| `inspect`, `calibrate` and `report` of the default run, together | 33 s | at most 30 s |",
        "| `cats_vs_dogs` with EfficientNet-Lite1 at 240: the head alone on the test images, and all up to it "
        "| 0.9910, 50 s | 0.990, at most 60 s |",
        "| the classifier of `cats_vs_dogs` | 99.0% | 1.0% |",
        "| `solar_cells` | 0.050 (0.05 – 0.05) | 0.020 (0.02 – 0.02) | 0.010 (0.01 – 0.01) | 0.950 (0.95 – 0.95) "
        "| 0.900 (0.90 – 0.90) |",
        "| 2,527 photos of rubbish, six classes | 0.050 (0.05 – 0.05) | 0.020 (0.02 – 0.02) | 0.010 (0.01 – 0.01) "
        "| 0.950 (0.95 – 0.95) | 0.900 (0.90 – 0.90) |",
        "| 50 | 24.0% (16.7%–33.2%) | 19.0% (12.5%–27.8%) | 14.0% (8.5%–22.1%) | 1 – 3 |",
        "| an epoch of fine-tuning, live over cached, same layers trained | 4.0 (40.0 s, 10.0 s) | 3 |",
        "| `dvc repro` with nothing to do over `dvc status` | 1.50 (1.20 s, 0.80 s) | at most 1.5 |",
        "| `cats_vs_dogs` | `mixed8` | 4 | 0.900 | 0.900 | 11 s | 11 s | 1,234 | 1 |",
    } <= {row for rows in rendered.values() for row in rows}
    # Five images, all right with B alone: 2 / 2**5 = 0.0625, of so few without drawing.
    compared = r"\| `solar_cells`: fine-tuned against head alone \| \+5.00 \| 0.062 \| 3 of 3 seeds \|"
    assert re.fullmatch(compared, rendered["comparisons"][2])
    assert rendered["power_law_cats_vs_dogs"][2].startswith("| head alone | error = ")
    command.publish()
    for curve in curves.CURVES:
        assert (house / curve.picture).stat().st_size > 10_000
    header = (house / "presets/cats_vs_dogs.yaml").read_text().partition("dataset:")[0].splitlines()
    assert [line for line in header if line.startswith("# expected: ")] == [
        "# expected: test accuracy 0.8000 (0.800 – 0.800), head alone, seeds 1 – 3",
        "# expected: test accuracy 0.8500 (0.850 – 0.850), fine-tuned, seeds 1 – 3",
        "# expected: test accuracy 0.9000 (0.900 – 0.900), classifier, seeds 1 – 3",
    ]


def test_which_tables_are_older_than_the_code():
    """A warning and no failure: measuring them again takes hours."""
    everything = (*command.RESULTS, *command.SPEED)
    assert len({table.name for table in everything}) == len(everything)
    for table in everything:
        if older := table.older():
            names = f"{', '.join(older[:3])}{' and more' if len(older) > 3 else ''}"
            warnings.warn(f"{table.document}, table {table.name}: older than the code: {names}", stacklevel=1)


def test_every_measurement_has_parameters_that_are_there_and_a_name_of_its_own(house, monkeypatch):
    monkeypatch.setattr(workspace, "shared", lambda name: name)
    by_name = {}
    for table in (*command.RESULTS, *command.SPEED):
        for name, measurement in table.measurements().items():
            assert by_name.setdefault(name, measurement) is measurement
            measurement.parameters()
    assert len(by_name) > 70
    assert choices.TABLE.measurements().keys() <= by_name.keys()


def test_the_command_lists_and_names_what_it_takes(house, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["results", "--list", "--only", "comparisons"])
    assert command.main("results", "", command.RESULTS) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "comparisons (docs/results.md)" and lines[-1] == "in all: 48 min"
    assert lines[1].split() == ["solar_cells/seed-1", "missing", "7.0", "min"]
    monkeypatch.setattr("sys.argv", ["results", "--only", "comparison"])
    with pytest.raises(
        UserError, match="--only: got comparison; did you mean comparisons[?] takes one of headline, test"
    ):
        command.main("results", "", command.RESULTS)


def test_a_run_on_drawn_images(house, project, monkeypatch):
    """Every process that a measurement starts, and what it reads from them."""
    copy(["benchmarks"], house)
    shutil.rmtree(house / "benchmarks/records")
    (house / "presets/small.yaml").write_text("{}\n")
    shutil.copy(project.path / "params.yaml", house)
    assert {name.partition(".")[0] for name in SMALL} <= set(workspace.parameters("small", {}))
    values = {
        "dataset.path": str(project.path / "data/my_images"),
        "backbone.name": "MobileNet",
        "backbone.weights": "random",
        "fine_tune.cut": "conv_pw_11_relu",
        "fine_tune.views": 2,
        "fine_tune.epochs": 3,
        "fine_tune.average_flips": True,
    }
    whole = runs.run("small", "small", 1, values=values)
    ran = []
    stage = workspace.Workspace.stage
    monkeypatch.setattr(workspace.Workspace, "stage", lambda self, name: ran.append(name) or stage(self, name))
    cold, warm = sys.executable, str(warm_python("random") / "python")
    monkeypatch.setattr(sys, "executable", warm)
    assert measuring.run(measuring.planned([whole], older=False), lambda: None) == []
    assert ran == list(measuring.STAGES)
    numbers = records.read("small/seed-1").numbers
    place, seconds = runs.run("small", "small", 1, seed=2, values=values).extracted()
    assert len(ran) == len(measuring.STAGES)  # another seed takes the same extraction
    assert numbers["seconds"].keys() == set(measuring.STAGES)
    assert [round(value, 1) for value in seconds.values()] == list(numbers["seconds"].values())[:3]
    measured = results.read(place.path)
    assert (
        training.test(numbers).scores[measured.delivered]["accuracy"] == measured.scores[measured.delivered]["accuracy"]
    )
    for model, scores in measured.scores.items():
        assert training.right(numbers, model).mean() == pytest.approx(scores["accuracy"], abs=1e-6)
    assert len(numbers["epochs"]) == 2 and all(0 < epoch < 60 for epoch in numbers["epochs"])
    assert len(numbers["validation"]["fine_tune"]["accuracy"]) == 4  # from the untrained model on
    assert numbers["megabytes"] > 0

    monkeypatch.setattr(sys, "executable", cold)  # whose memory is the process's own
    work = place.python("benchmarks.without_determinism")
    assert len(work.epochs()) == 2 and work.peak > 50
    monkeypatch.setattr(sys, "executable", warm)
    assert place.python("benchmarks.bare_network").rate("bare") > 1
    with pytest.raises(UserError, match="benchmarks.none failed in .* with exit status 1"):
        place.python("benchmarks.none")
