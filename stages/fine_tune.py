"""Train the backbone's last layers from where the head ended, and deliver what is better on the validation images."""

from functools import partial

from headstart.artifacts import manifest, models, results
from headstart.backbones import cut, registry, weights
from headstart.base import checkpoint, errors, params
from headstart.base.runtime import deterministic
from headstart.classifier import candidates, file
from headstart.images import augment
from headstart.images.archive import open_source
from headstart.training import assembly, batches, loop


def main() -> None:
    settings, table = params.load_stage("fine_tune"), manifest.read()
    deterministic(settings.seed)
    name, size, tuning = settings.backbone.name, settings.image.size, settings.fine_tune
    scale = partial(registry.scale, name=name, mode=settings.backbone.scaling)
    before, after = ((registry.build(name, size, weights.fetched()), models.load_head()) for _ in range(2))
    backbone, head = after
    cut.freeze(backbone, tuning.cut, settings.backbone.weights)
    with open_source(settings.dataset.path) as source:
        if tuning.views == "live":
            model, epoch, validation = assembly.live(settings, table, backbone, head, source)
        else:
            model, epoch, validation = assembly.cached(settings, table, backbone, head)
        images = len(batches.rows(table, settings.train_images, settings.seed))
        loop.compiled(model, tuning, steps=-(-images // tuning.batch_size))
        kept = loop.train(model, epoch, validation, tuning, "fine_tune", loop.RANKINGS[tuning.select_by])
        print(f"fine_tune: kept epoch {kept}")
        axes = augment.flipped_axes(settings.augment) if tuning.average_flips else []
        rows = table.rows("validation")
        paths, labels = [table.paths[row] for row in rows], table.labels[rows]
        networks = {"head": before} | ({"fine_tuned": after} if kept else {})
        classifier, facts = candidates.deliver(
            networks, tuning.cut, scale, axes, source, paths, labels, tuning.select_by
        )
    loop.add_facts("fine_tune", facts)
    costs = ", ".join(f"{candidate} {cost:.4f}" for candidate, cost in facts["candidates"].items())
    unit = "loss" if tuning.select_by == "loss" else "error"
    print(f"fine_tune: delivers {facts['delivered']} (validation {unit}: {costs})")
    file.save(classifier, results.CLASSIFIER, table.classes, facts["delivered"])
    checkpoint.finish("fine_tune")


if __name__ == "__main__":
    errors.run(main)
