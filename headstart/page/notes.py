"""What a reader should know of a result, in sentences: for the table at the end of a run, and for the page."""

from typing import Any

from headstart.artifacts import calibration, dataset, results
from headstart.artifacts.manifest import Manifest
from headstart.artifacts.results import AVERAGED, MODELS, Results
from headstart.base import params, wording
from headstart.classifier import decision

# How McNemar's test is reported: the later model, and what the earlier one is called in the same sentence.
SENTENCES = {"fine_tuning": ("The fine-tuned model", "the head"), "averaging": ("The average over flips", "one look")}
SENTENCES["head_averaging"] = SENTENCES["averaging"]
# From this many times as many test images in the largest class as in the smallest on, accuracy is what the largest one
# makes of it.
RARE = 3
FEW = 10  # test images that tell nothing


def rare(measured: Results) -> bool:
    """Whether the largest class has at least three times as many test images as the smallest that has any."""
    images = [numbers["images"] for numbers in tested(measured).values()]
    return bool(images) and max(images) >= RARE * min(images)


def of_fold(summary: dict[str, Any], table: Manifest, fold: int | None) -> dict[str, Any]:
    """Return what `dataset.read` does as it is in the run of a fold, whose number is then `fold` in it; None: as it is.

    table: the manifest with the splits of that fold.
    """
    if fold is None:
        return summary
    split, copies = dict(zip(table.paths, table.splits.tolist(), strict=True)), 0
    for paths in summary.get("near_duplicates", ()):
        splits = [split.get(path) for path in paths]
        copies += splits.count("test") if "train" in splits else 0
    counted = {"counts": dataset.counts(summary, fold), "published": [], "test_copies": copies}
    return summary | counted | {"fold": fold}


def warnings(measured: Results, decided: dict[str, dict[str, Any]] | None = None) -> list[str]:
    """What a reader should know of these numbers, one sentence each.

    decided: how often each class is `predicted`, as `evaluation.trust.by_class` has it, where that is not by the
    likeliest class; that all images are called the same, `words.of_decision` says then.
    """
    score, by_class = measured.scores[measured.delivered], tested(measured)
    sentences = []
    if measured.images < FEW:
        images = wording.count(measured.images, "test image")
        sentences.append(f"{images}: too few to tell good from bad; raise split.test, or add images.")
    if "weighted_accuracy" in score:
        weighted = ", ".join(
            f"{MODELS[model]} {numbers['weighted_accuracy']:.4f}" for model, numbers in measured.scores.items()
        )
        sentences.append(f"Accuracy where the images count for what they weigh in the manifest: {weighted}.")
    if missing := [name for name in score.get("per_class", ()) if name not in by_class]:
        sentences.append(
            f"No test image is of {_named(missing)}: no score tells of such images; the test split needs some."
        )
    predicted = [name for name, of in (decided or score.get("per_class", {})).items() if of["predicted"]]
    never = [name for name in by_class if name not in predicted]
    if len(predicted) == 1 and never:
        what = f"{_named(never)} is never" if len(never) == 1 else "no other class is ever"
        if not decided:
            sentences.append(f"Every test image is called {_named(predicted)}: {what} predicted.")
        if score["roc_auc"] == 0.5:
            sentences.append(
                "No image is ranked above another: to the network they look alike. Are they black, or blank (see the "
                "galleries), or are its weights random?"
            )
    elif never:
        sentences.append(f"Never predicted: {_named(never)}.")
    share = max((numbers["images"] for numbers in by_class.values()), default=0) / measured.images
    if share < 1 and by_class and score["accuracy"] <= share + 1e-6:
        largest = max(by_class, key=lambda name: by_class[name]["images"])
        sentences.append(
            f"An accuracy of {score['accuracy']:.4f} is no more than always saying {_named([largest])} reaches "
            f"({share:.4f})."
        )
    if tests := measured.trust.get("corrected"):
        images = wording.count(tests, "test image")
        sentences.append(f"{images} changed by data/corrections.csv (dataset.correct_test): the scores are of these.")
    if calibration.CALIBRATION.exists():
        of = measured.trust.get("decision", {}).get("of")
        sentences += [_sentence(warning) for warning in calibration.warnings(calibration.read(), of)]
    return sentences


def inspected(found: dict[str, Any]) -> list[str]:
    """What `inspect` warns of, one sentence each. found: what `inspection.read` returns."""
    return [_sentence(warning) for warning in found["warnings"]]


def relied(measured: Results) -> list[str]:
    """How far the delivered model can be relied on, one sentence each."""
    trust, sentences = measured.trust, []
    if measured.by_rule:
        decided = trust["decision"]
        reached = [f"accuracy {_with_interval(decided, 'accuracy')}"]
        for name in ("balanced_accuracy", "recall", "precision"):
            if decided.get(name) is not None:
                reached.append(f"{name.replace('_', ' ')} {_with_interval(decided, name)}")
        of = ""
        if decided.get("threshold") is not None:
            of = f", {_named([decided['of']])} from {decision.shown(decided['threshold'])} on"
        sentences.append(f"As it decides ({decided['goal'].replace('_', ' ')}{of}): {', '.join(reached)}.")
    if "calibration" in trust:
        before, after = (trust["calibration"][when]["ece"] for when in ("before", "after"))
        sentences.append(f"Probabilities are off by {after:.3f} on average ({before:.3f} before the temperature).")
        if (chance := trust["calibration"]["after"].get("ece_by_chance")) is not None:  # as of an earlier version
            sentences[-1] += f" On so many images perfect ones would be off by {chance:.3f}, by chance."
    if "possible" in trust:
        possible = trust["possible"]
        sentences.append(
            f"The classes that remain possible hold the true one for {possible['coverage']:.1%} of the images (wanted: "
            f"{100 * possible['wanted']:g}%); for {possible['one_class']:.1%} just one remains."
        )
    if "unlike" in trust:
        sentences.append(f"Unlike the training images: {trust['unlike']['share']:.1%} of the test images.")
    return sentences


def _with_interval(numbers: dict[str, Any], name: str) -> str:
    return f"{numbers[name]:.3f} ({numbers[f'{name}_low']:.3f} – {numbers[f'{name}_high']:.3f})"


def heading(images: int, summary: dict[str, Any] | None, found: dict[str, Any] | None = None) -> str:
    """How many test images there are, and whether they were used before as far as is known.

    summary: what `dataset.read` returns, or `of_fold`; None where it is missing. found: what `inspection.read` returns;
    without it, and in a fold, of which it does not know, nobody has looked.
    """
    words = [wording.count(images, "test image")]
    if summary is None:
        return words[0]
    if "fold" in summary:
        words.append(f"those of fold {summary['fold']}")
    if "test" in summary.get("published", ()):
        words.append("the source's own test split")
    copies = summary.get("test_copies", 0)
    looked = found is not None and "fold" not in summary
    pairs = found.get("alike", ()) if looked else ()
    alike = {path for of in pairs for path, split in zip(of["paths"], of["splits"], strict=True) if split == "test"}
    if copies:
        words.append(f"{copies:,} of them with a near copy in training")
    elif alike:
        more = "at least " * (found["counts"]["alike"] > len(pairs))  # than are listed
        words.append(f"{more}{len(alike):,} nearly the same as one in another split")
    elif looked:
        words.append("none of them used before")
    return ", ".join(words)


def sentence(comparison: str, pair: dict[str, Any]) -> str:
    """McNemar's test of one of `results.COMPARISONS` in words; `pair` is what `Results.mcnemar` has of it."""
    later, earlier = SENTENCES[comparison]
    worse, better = (pair[f"only_{model}"] for model in results.COMPARISONS[comparison])
    if not better + worse:
        return f"{later} is right and wrong on the same images as {earlier}."
    p = "p < 0.0001" if pair["p"] < 0.0001 else f"p = {pair['p']:.2g}"
    test = "McNemar, over groups" if "groups" in pair else "McNemar"
    return (
        f"{later} is right on {wording.count(better, 'image')} that {earlier} gets wrong, "
        f"and wrong on {worse:,} that it gets right: {p} ({test})."
    )


def steps(measured: Results) -> list[str]:
    """What each further step brought, one sentence each, and why the head is delivered where it is."""
    said = [sentence(comparison, pair) for comparison, pair in measured.mcnemar.items()]
    if measured.delivered in ("head", AVERAGED["head"]):
        said.append("Fine-tuning was no better on the validation images: the classifier is the head.")
    return said


def help_for_rare(summary: dict[str, Any], settings: params.Params) -> list[str]:
    """What to set where a class has a tenth or less of another's training images; nothing that is set already.

    summary: what `dataset.read` returns.
    """
    training, lines = summary["counts"]["train"], []
    if min(training.values()) > max(training.values()) / 10:
        return lines
    weights = {f"{name}.class_weights": getattr(settings, name).class_weights for name in ("head", "fine_tune")}
    if "balanced" not in weights.values():
        also = settings.fine_tune.select_by != "balanced_accuracy"
        chosen = ", and fine_tune.select_by: balanced_accuracy" if also else ""
        lines.append(f"To let every class weigh the same, try {' and '.join(weights)}: balanced{chosen}.")
    rarest = min(training, key=training.get)
    if len(training) == 2 and rarest != (settings.dataset.positive or summary["classes"][-1]):
        lines.append(
            f"With dataset.positive: {wording.label(rarest)} the curves and average precision would be of that class."
        )
    return lines


def tested(measured: Results) -> dict[str, dict[str, Any]]:
    """The numbers of the delivered model by class, of the classes that have test images."""
    score = measured.scores[measured.delivered]
    return {name: numbers for name, numbers in score.get("per_class", {}).items() if numbers["images"]}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _named(names: list[str]) -> str:
    shown = wording.labels(names[:5], 30)
    return ", ".join(shown) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
