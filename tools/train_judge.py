"""How the judges that come with the package were made.

python tools/train_judge.py mnist --out sparring/evaluation/judges/mnist.safetensors
"""

import argparse
import json
import sys
import time
from pathlib import Path

from sparring import data
from sparring.evaluation.classifier import Augmentation, accuracy, pack_classifier, train_classifier
from sparring.files import atomic

SETTINGS = {
    "mnist": {"epochs": 16, "augmentation": Augmentation(pixels=0.07, degrees=10, scale=0.1)},
    "fashion-mnist": {"epochs": 20, "augmentation": Augmentation(pixels=0.04, flip=True)},
}


def main() -> None:
    """Train on the training images, print the accuracy on the test images, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=SETTINGS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    settings = SETTINGS[given.data] | ({"epochs": given.epochs} if given.epochs else {})
    began = time.monotonic()

    def progress(step: int, steps: int) -> None:
        if step % 500 == 0:
            print(f"step {step:,} of {steps:,}, {time.monotonic() - began:.0f} s", file=sys.stderr)

    judge = train_classifier(data.load(given.data), seed=given.seed, progress=progress, **settings)
    content, about = pack_classifier(judge)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(given.out, content)
    right = accuracy(judge, data.load(given.data, "test"))
    print(json.dumps({"test accuracy": round(right, 5), "seconds": round(time.monotonic() - began), **about}, indent=2))


if __name__ == "__main__":
    main()
