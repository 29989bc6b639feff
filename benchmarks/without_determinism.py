"""The stage fine_tune with op determinism left off, to measure what it costs."""

from headstart.base import errors, runtime


def main() -> None:
    runtime.tf.config.experimental.enable_op_determinism = lambda: None
    from stages import fine_tune

    fine_tune.main()


if __name__ == "__main__":
    errors.run(main)
