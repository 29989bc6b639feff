"""Show the result: one page of words, charts and pictures, metrics/report.html, and the classifier's model card.

Chooses nothing, and measures nothing anew but what the card says of each class: how far its recall is known.
"""

from headstart.base import watch

watch.start(__name__, lower="image.size")  # before what takes seconds to import

from typing import Any

import numpy as np

from headstart.artifacts import dataset, inspection, manifest, predictions, results
from headstart.base import checkpoint, errors, files, params
from headstart.base.errors import UserError
from headstart.base.progress import track
from headstart.base.runtime import deterministic
from headstart.base.terminal import say
from headstart.base.threads import in_order
from headstart.classifier import decision, familiar, file
from headstart.evaluation import trust
from headstart.images import archive, batches, decoding
from headstart.page import contents, looking, model_card, notes, rendering, shown

NEAREST = 4


def answers_of(table: manifest.Manifest) -> predictions.Predictions:
    """What the models say of the test images."""
    try:
        answers = predictions.parse(predictions.PREDICTIONS.read_text(encoding="utf-8"))
        if answers.paths != [table.paths[row] for row in table.rows("test")]:
            raise ValueError(f"{predictions.PREDICTIONS} is of other images")
        return answers
    except FileNotFoundError:
        raise UserError(f"no {predictions.PREDICTIONS} here: run `dvc repro evaluate`") from None
    except ValueError as error:
        raise UserError(f"{error}: run `dvc repro --force --single-item evaluate`") from None


def main() -> None:
    settings = params.load_stage("report")
    deterministic(settings.seed)
    table, measured = manifest.read(fold=settings.fold), results.read(whole=True)
    classifier, details = file.load_own(table.classes)
    answers, found = details.rule.decided(answers_of(table)), inspection.read()
    summary = notes.of_fold(dataset.read(), table, settings.fold)
    contents.refuse_others(table, measured, found, summary)
    positive = decision.positive_class(table.classes, settings.dataset.positive)
    galleries = shown.galleries(answers, found, summary, table)
    rows = list(dict.fromkeys(row for of in galleries.values() for row in of))
    with archive.open_source(settings.dataset.path, details.value_range) as source:

        def image(row: int) -> np.ndarray:
            return batches.pixels(source, table.paths[row], details.square)

        def picture(row: int) -> str:
            return rendering.picture(looking.small(source, table.paths[row]))

        seen = track(in_order(image, rows), "looking at what is shown", len(rows))
        heat, nearest = looking.looks(classifier, details, seen)
        maps = {row: rendering.address(looking.overlay(of), "image/png") for row, of in zip(rows, heat, strict=True)}
        kept, _ = familiar.rows(table, settings.seed)
        near = kept[nearest]
        near = {row: [int(other) for other in of if other != row][:NEAREST] for row, of in zip(rows, near, strict=True)}
        wanted = dict.fromkeys([*rows, *(other for row in rows[: shown.MOST["wrong"]] for other in near[row])])

        def data_with(pictures: dict[int, str]) -> dict[str, Any]:
            images = contents.of_images(table, answers, pictures, maps, near)
            return contents.of_script(measured, answers, found, summary, images, galleries, positive)

        room = rendering.room(data_with(dict.fromkeys(wanted, "")))
        data = data_with(rendering.within(list(wanted), picture, room)) | {"resizing": details.resizing}
    guesses, groups = list(answers.predicted.values())[-1], table.groups[table.rows("test")]
    by_class = trust.by_class(answers.labels, guesses, table.classes, groups, settings.seed)
    of_run = (measured, answers, found, summary, data, by_class)
    texts = contents.of_template(*of_run, table.classes[positive], settings.decision)
    files.write_text(results.PAGE, rendering.page("report", **texts, data=data))
    resizing = decoding.RESIZING[details.resizing]
    run = (table, details, measured, answers, by_class, found, summary, settings, positive, resizing)
    model_card.write(model_card.Run(*run))
    say(f"report: {results.PAGE}, {results.PAGE.stat().st_size / 1e6:.1f} MB; {model_card.CARD}")
    checkpoint.finish("report")


if __name__ == "__main__":
    errors.run(main)
