import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from headstart.base.runtime import deterministic, keras, tf

ROOT = Path(__file__).parents[2]


def draws(seed):
    deterministic(seed)
    return (random.random(), np.random.random(), float(tf.random.uniform(())), float(keras.random.uniform(())))


def test_a_seed_sets_python_numpy_and_tensorflow():
    assert draws(3) == draws(3)
    assert not set(draws(3)) & set(draws(4))


def test_only_repeatable_operations_are_allowed_then():
    deterministic(1)
    with pytest.raises(RuntimeError, match="determinism"):
        tf.random.Generator.from_non_deterministic_state()


def test_importing_is_silent():
    code = "from headstart.base.runtime import keras, tf; tf.constant(1) + 1"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_keras_does_not_bring_in_what_is_not_used():
    there = "print({'sklearn', 'matplotlib'} & {*sys.modules})"
    code = f"import sys, headstart.base.runtime; {there}; import sklearn, matplotlib"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr
