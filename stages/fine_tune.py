"""Train the backbone's last layers from where the head ended, and deliver what is better on images not trained on.

The classifier keeps features of some training images, by which it tells what is unlike all of them.
"""

from headstart.base import watch

watch.start(__name__, lower="fine_tune.batch_size or image.size")  # before what takes seconds to import

from functools import partial

from headstart.artifacts import features, manifest, models, predictions, value_range
from headstart.backbones import cut, several, weights
from headstart.base import checkpoint, errors, params
from headstart.base.runtime import deterministic, keras
from headstart.base.terminal import say
from headstart.classifier import candidates, decision, file
from headstart.classifier.details import Details
from headstart.images import augment, ranges
from headstart.images.archive import open_source
from headstart.training import again, assembly, batches, choosing, loop, remembering


def backbone(settings: params.View) -> keras.Model:
    return several.build(settings.backbone, settings.image.size, weights.fetched(len(settings.backbone)))


def network(settings: params.View, table: manifest.Manifest) -> tuple[keras.Model, keras.Model]:
    """Backbone and head, as the stages before this one left them."""
    network = backbone(settings)
    return network, models.load_head(classes=len(table.classes), shape=network.output.shape[1:])


def main() -> None:
    settings = params.load_stage("fine_tune")
    table = manifest.read(fold=settings.fold)
    deterministic(settings.seed)
    tuning, train = settings.fine_tune, batches.rows(table, settings.train_images, settings.seed)
    networks = {name: network(settings, table) for name in ("head", "fine_tuned")}
    cut.freeze(networks["fine_tuned"][0], tuning.cut, *(one.weights for one in settings.backbone))
    with open_source(settings.dataset.path, ranges.of_fields(value_range.read())) as source:
        if tuning.views == "live":
            model, epoch, validation = assembly.live(settings, table, train, *networks["fine_tuned"], source)
        else:
            model, epoch, validation = assembly.cached(settings, table, train, *networks["fine_tuned"])
        loop.compiled(model, tuning, steps=-(-len(train) // tuning.batch_size))
        kept = loop.train(model, epoch, validation, tuning, "fine_tune", loop.RANKINGS[tuning.select_by])
        say(f"fine_tune: kept epoch {kept}")
        if not kept:
            del networks["fine_tuned"]
        at_cut = None if tuning.views == "live" else features.read_cut(table=table)
        choice, rows = choosing.choose(settings, table, source, at_cut, networks, kept, partial(backbone, settings))
        if tuning.refit:
            deterministic(settings.seed)
            together = again.together(table, settings)
            networks = {"head": (backbone(settings), again.head(settings, table, together))}
            if choice.network != "head":
                start, work = (backbone(settings), networks["head"][1]), "train on validation images too"
                networks["fine_tuned"] = again.tuned(settings, table, together, *start, kept, source, work)
        if choice.network == "halfway":
            networks["halfway"] = candidates.halfway(networks["head"], networks["fine_tuned"])
        known = remembering.known(settings, table, source, at_cut, networks[choice.network])
    loop.add_facts("fine_tune", choice.facts)
    costs = ", ".join(f"{candidate} {cost:.4f}" for candidate, cost in choice.costs.items())
    unit = "loss" if tuning.select_by == "loss" else "error"
    say(f"fine_tune: delivers {choice.name} (validation {unit}: {costs})")
    said = {choice.model: choice.probabilities}
    predicted = {choice.model: decision.predicted(choice.probabilities)}
    paths = [table.paths[row] for row in rows]
    answers = predictions.Predictions(table.classes, paths, table.labels[rows], predicted, said)
    predictions.write(answers, file=predictions.VALIDATION)
    scale = several.scaling(settings.backbone, networks["head"][0])
    flips = augment.flipped_axes(settings.augment)
    classifier = candidates.build(networks[choice.network], choice, scale, flips)
    axes = tuple(flips) if choice.averages else ()
    seen = {"size": settings.image.size, "resizing": settings.image.resizing, "value_range": source.value_range}
    details = Details(table.classes, delivered=choice.model, axes=axes, known=known, **seen)
    file.save(classifier, file.NETWORK, details)
    checkpoint.finish("fine_tune")


if __name__ == "__main__":
    errors.run(main)
