"""Say how sure the classifier is, and from where on it decides: set on images that it was not trained on.

Trains nothing: another `decision` takes seconds. Writes models/classifier.keras and metrics/calibration.json.
"""

from headstart.base import watch

watch.start(__name__, lower="image.size")  # before what takes seconds to import

import numpy as np

from headstart.artifacts import calibration, manifest, predictions
from headstart.base import checkpoint, errors, params
from headstart.base.errors import UserError
from headstart.base.runtime import deterministic
from headstart.base.terminal import say
from headstart.calibration import coverage, deciding
from headstart.classifier import decision, file, joining, selection
from headstart.classifier.details import Rule


def validation(table: manifest.Manifest) -> tuple[predictions.Predictions, np.ndarray]:
    """What fine_tune says of images that it did not train on, and their rows in the manifest."""
    try:
        answers = predictions.parse(predictions.VALIDATION.read_text(encoding="utf-8"), predictions.VALIDATION)
        if answers.classes != table.classes:
            raise ValueError(f"{predictions.VALIDATION} is of other classes")
        rows = {path: row for row, path in enumerate(table.paths)}
        if not answers.paths or not rows.keys() >= set(answers.paths):
            raise ValueError(f"{predictions.VALIDATION} is of other images")
    except FileNotFoundError:
        raise UserError(f"no {predictions.VALIDATION} here: run `dvc repro fine_tune`") from None
    except ValueError as error:
        raise UserError(f"{error}: run `dvc repro --force --single-item fine_tune`") from None
    return answers, np.array([rows[path] for path in answers.paths])


def main() -> None:
    settings = params.load_stage("calibrate")
    deterministic(settings.seed)
    table = manifest.read(fold=settings.fold)
    classes, (answers, rows) = table.classes, validation(table)
    network, details = file.load_own(classes, file.NETWORK)
    (given,) = answers.probabilities.values()
    weights, targets, groups = table.of(rows, "weights"), table.of(rows, "probabilities"), table.groups[rows]
    temperature = selection.temperature(given, answers.labels, weights, targets)
    sure = decision.tempered(given, temperature)
    goal = settings.decision
    decision.positive_class(classes, settings.dataset.positive)  # refuses here what evaluate would refuse later
    # The table has six decimals: what is 0 or 1 there lies up to half of the last one from it; a threshold takes that.
    bounded = decision.tempered(given.clip(5e-7, 1 - 5e-7), temperature)
    rule = deciding.find(goal, settings.dataset.positive, classes, bounded, answers.labels, weights, groups)
    at_least = coverage.at_least(sure, answers.labels, groups, goal.coverage) if goal.coverage else None
    costs = None if rule.costs is None else rule.costs.tolist()
    written = Rule(temperature, goal.goal, rule.of, rule.threshold, costs, goal.coverage, at_least)
    classifier = joining.calibrated(network, temperature)
    file.save(classifier, file.CLASSIFIER, details._replace(rule=written))
    found = {
        "images": len(rows),
        "groups": len(np.unique(groups)),
        "temperature": round(temperature, 6),
        "threshold": rule.threshold,
        "reached": rule.reached,
        "at_least": at_least,
        "unlike": {"images": len(details.known.features), "limit": round(details.known.limit, 6)},
    }
    if rule.images is not None:
        least = coverage.needed(goal.at_least)
        set_on = calibration.SetOn(goal.goal, rule.of, goal.at_least, rule.images, least, rule.groups)
        found["set_on"] = set_on._asdict()
    if goal.coverage:
        found["coverage"] = {"wanted": goal.coverage, "needed": coverage.needed(goal.coverage)}
    calibration.write(found)
    say(f"calibrate: temperature {temperature:.2f}, by {len(rows):,} images that were not trained on")
    if rule.threshold is not None:
        shown = decision.shown(rule.threshold)
        say(f"calibrate: {rule.of} from a probability of {shown} on (decision.goal: {goal.goal})")
    for warning in calibration.warnings(found, rule.of):
        say(f"calibrate: WARNING: {warning}")
    checkpoint.finish("calibrate")


if __name__ == "__main__":
    errors.run(main)
