"""Fit the head to the bottleneck features: seconds, since the backbone has run already."""

from headstart.base import watch

watch.start(__name__, lower="head.batch_size or image.size")  # before what takes seconds to import

import json

from headstart.artifacts import manifest, models
from headstart.base import checkpoint, errors, params
from headstart.base.runtime import deterministic
from headstart.training import batches, head, logistic, loop, views


def main() -> None:
    settings = params.load_stage("train_head")
    checkpoint.clear("extract")  # its arrays take their place on the disk twice, and DVC has recorded them
    seed, batch_size = settings.seed, settings.head.batch_size
    table = manifest.read(fold=settings.fold)
    features = views.of_bottleneck(table, settings.head.views)
    train, validation = batches.rows(table, settings.train_images, seed), table.rows("validation")
    deterministic(seed)

    def of(rows, class_weights="none", drawn=None):
        inputs = features.batches(rows, batch_size, drawn)
        return batches.with_targets(inputs, table, rows, batch_size, class_weights)

    def epoch(number):
        drawn = features.draw(seed, "head views", number)
        return of(batches.shuffled(train, seed, number), settings.head.class_weights, drawn)

    model, additions = head.build(features.shape, len(table.classes), settings.head), {}
    if settings.head.solver == "logistic":
        some = logistic.enough(table, train, features.count, seed)
        pooled = features.pooled(model, some, batch_size)
        solution = logistic.of_rows(pooled, table, some, settings.head.class_weights, seed)
        loop.solved(model, solution.weights, of(train), of(validation), "train_head", solution.facts)
    else:
        steps = -(-len(train) // batch_size)
        kept = loop.train(
            # A step of so small a network is over before Python has asked for the next.
            loop.compiled(model, settings.head, steps, at_once=steps),
            epoch,
            of(validation),
            settings.head,
            "train_head",
            better=loop.by_loss if settings.head.early_stopping else None,
        )
        additions = {models.EPOCHS: json.dumps(kept).encode()}
    models.save(model, models.HEAD, additions)
    checkpoint.finish("train_head")


if __name__ == "__main__":
    errors.run(main)
