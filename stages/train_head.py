"""Train the head on the bottleneck features: seconds, since the backbone has run already."""

from headstart import checkpoint, errors, features, models, params, training
from headstart.manifest import read_manifest
from headstart.runtime import deterministic


def main() -> None:
    settings = params.load_stage("train_head")
    checkpoint.clear("extract")  # its arrays take their place twice, and DVC has recorded them
    head, seed = settings.head, settings.seed
    manifest, bottleneck = read_manifest(), features.read_bottleneck()
    train, validation = training.rows(manifest, settings.train_images, seed), manifest.rows("validation")
    deterministic(seed)

    def batches(rows, class_weights="none"):
        inputs = training.feature_batches(bottleneck.__getitem__, bottleneck.shape[1:], rows, head.batch_size)
        return training.with_targets(inputs, manifest, rows, head.batch_size, class_weights)

    model = models.build_head(bottleneck.shape[1:], len(manifest.classes), head)
    steps = -(-len(train) // head.batch_size)
    training.train(
        # A step of so small a network is over before Python has asked for the next.
        training.compiled(model, head, steps, at_once=steps),
        lambda epoch: batches(training.shuffled(train, seed, epoch), head.class_weights),
        batches(validation),
        head,
        "train_head",
        better=training.by_loss if head.early_stopping else None,
    )
    models.save(model, models.HEAD)
    checkpoint.finish("train_head")


if __name__ == "__main__":
    errors.run(main)
