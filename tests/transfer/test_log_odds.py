"""A mean of log-odds can be silently the log-odds of a mean, in another base, or infinite at 100 %."""

import numpy as np
import pytest

from torchmultiverse.errors import DatasetError
from torchmultiverse.transfer import TaskScore, mean_log_odds, odds_of, task_score

# Published top-1 (%) of the five levels of concepts and eight small data sets, and the published mean of log-odds.
PUBLISHED = {
    "DINO": ([71.1, 67.2, 63.2, 62.6, 57.6, 62.5, 67.4, 77.7, 97.7, 95.6, 88.9, 78.7, 66.0], 1.256),
    "PAWS": ([71.2, 67.3, 63.1, 62.1, 56.6, 63.2, 71.6, 76.2, 96.9, 95.8, 91.2, 77.5, 65.4], 1.256),
    "SL-MLP": ([70.1, 66.1, 61.6, 60.4, 54.5, 63.1, 70.9, 75.0, 96.7, 94.8, 91.6, 74.9, 63.7], 1.189),
    "LOOK+mc": ([70.2, 65.9, 61.7, 60.4, 54.7, 62.4, 71.1, 73.5, 96.3, 94.9, 93.3, 75.1, 64.1], 1.195),
    "SupCon": ([69.9, 64.7, 60.6, 59.1, 53.1, 57.3, 60.9, 74.6, 95.7, 91.6, 92.8, 71.9, 62.8], 1.053),
    "RSB-A1": ([69.9, 65.0, 60.9, 59.3, 52.8, 47.1, 54.0, 73.9, 95.7, 88.7, 93.1, 71.2, 63.3], 0.978),
    "t-ReX": ([72.0, 68.3, 63.9, 63.4, 57.2, 67.3, 74.2, 77.7, 97.5, 96.2, 92.6, 80.1, 66.7], 1.357),
    "t-ReX*": ([70.7, 66.0, 61.5, 59.8, 53.4, 55.5, 64.7, 73.2, 96.2, 90.1, 93.0, 73.2, 64.8], 1.078),
}


@pytest.mark.parametrize("model", PUBLISHED)
def test_the_mean_of_log_odds_is_the_published_one(model: str) -> None:
    accuracies, published = PUBLISHED[model]
    scores = [TaskScore(str(k), p / 100, p / 100, p / 100, 10**6, 0.01) for k, p in enumerate(accuracies)]
    found = mean_log_odds(scores, independent=True)
    assert found.mean == pytest.approx(published, abs=0.003)
    assert found.tasks == 13
    mean = float(np.mean(accuracies)) / 100
    assert abs(odds_of(mean, 10**6) - published) > 0.1, "the log-odds of the mean accuracy are another number"


def test_a_perfect_task_is_finite_and_better_with_more_pictures() -> None:
    assert odds_of(1.0, 100) == pytest.approx(np.log(199))
    assert odds_of(0.0, 100) == pytest.approx(-odds_of(1.0, 100))
    assert odds_of(1.0, 1000) > odds_of(1.0, 100)


def test_tasks_of_the_same_pictures_have_the_wider_interval() -> None:
    rng = np.random.default_rng(0)
    scores = [task_score(str(k), rng.random(200) < 0.7, np.arange(200) // 4, 0.1) for k in range(4)]
    apart, shared = (mean_log_odds(scores, independent=flag) for flag in (True, False))
    assert apart.mean == shared.mean
    assert shared.low < apart.low < apart.mean < apart.high < shared.high
    one = mean_log_odds(scores[:1], independent=True)
    assert one.low == pytest.approx(odds_of(scores[0].low, 200))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    truths = (0.6, 0.8, 0.95)
    truth = float(np.mean([np.log(p / (1 - p)) for p in truths]))
    held = 0
    for _ in range(300):
        scores = [task_score(str(p), rng.random(200) < p, None, 0.1) for p in truths]
        found = mean_log_odds(scores, independent=True)
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 300 <= 0.99


def test_what_is_no_accuracy_is_said() -> None:
    with pytest.raises(DatasetError, match="75 %"):
        odds_of(75.0, 100)
    with pytest.raises(DatasetError, match="at least one task"):
        mean_log_odds([], independent=True)
    with pytest.raises(DatasetError, match="'pose' has no test pictures"):
        task_score("pose", np.zeros(0), None, 0.1)
