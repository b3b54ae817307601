"""What the charts of the demo show."""

import json

from tinylm.study.demo import _curves
from tinylm.train.trainer import METRICS


def test_demo_draws_training_and_validation_losses_of_the_same_measure(tmp_path):
    """The loss of an update is over a sample of the vocabulary: beside a validation loss it reads as overfitting."""
    records = [
        {"step": 10, "seconds": 1.0, "loss": 5.3},
        {"step": 20, "seconds": 2.0, "loss": 5.2, "training": {"loss": 6.2}, "validation": {"loss": 6.3}},
        {"step": 40, "seconds": 4.0, "training": {"loss": 6.0}, "validation": {"loss": 6.1, "accuracy": 0.5}},
    ]
    (tmp_path / METRICS).write_text("".join(json.dumps(record) + "\n" for record in records))
    drawn = {curve.split: curve.points for curve in _curves(tmp_path, "seconds", "loss")}
    assert drawn == {"train": [(2.0, 6.2), (4.0, 6.0)], "validation": [(2.0, 6.3), (4.0, 6.1)]}
    (accuracy,) = _curves(tmp_path, "step", "accuracy")
    assert (accuracy.split, accuracy.points) == ("validation", [(40.0, 0.5)])
