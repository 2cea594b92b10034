"""The yardstick of bench/sweep.py: the same fits as a plain scikit-learn script with two joblib workers.

    python bench/plain_sweep.py --rows 5000
"""

from __future__ import annotations

import argparse
import json
from time import time

import numpy as np
import pandas as pd

FOLDS, SEED = 5, 42


def make_rows(rows: int, seed: int = 7) -> tuple[pd.DataFrame, np.ndarray]:
    """Return 16 numbers (one in fifty missing), 4 categories and a noisy label of two classes."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, 16))
    features = pd.DataFrame(numbers, columns=[f"number_{i}" for i in range(16)])
    levels = np.array(["red", "green", "blue", "white", "black"], dtype=object)
    for i in range(4):
        features[f"category_{i}"] = rng.choice(levels, rows).astype(object)
    value = numbers[:, 0] - numbers[:, 1] * numbers[:, 2] + (features.category_0 == "red") + rng.normal(0, 1, rows)
    features = features.mask(rng.random(features.shape) < 0.02)
    for i in range(4):
        features[f"category_{i}"] = features[f"category_{i}"].astype(object)
    return features, np.where(value > 0.4, "1", "0").astype(object)


def main() -> None:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from sklearn.metrics import f1_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    rows = parser.parse_args().rows
    features, labels = make_rows(rows)
    target = labels.astype(int)
    train, _ = train_test_split(np.arange(rows), test_size=0.2, random_state=SEED, stratify=target)
    train.sort()
    candidates = {
        "logistic_regression": (LogisticRegression(class_weight="balanced", max_iter=1000, random_state=SEED), True),
        "ridge": (CalibratedClassifierCV(RidgeClassifier(class_weight="balanced"), cv=3), True),
        "lasso": (
            LogisticRegression(l1_ratio=1.0, solver="saga", tol=1e-3, class_weight="balanced", max_iter=1000, random_state=SEED),
            True,
        ),
        "random_forest": (RandomForestClassifier(200, class_weight="balanced", random_state=SEED), False),
        "hist_gradient_boosting": (
            HistGradientBoostingClassifier(class_weight="balanced", early_stopping=False, random_state=SEED),
            False,
        ),
    }
    numbers = [c for c in features if c.startswith("number")]
    categories = [c for c in features if c.startswith("category")]
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    scores = {}
    for name, (estimator, scaled) in candidates.items():
        median = SimpleImputer(strategy="median")
        columns = make_column_transformer(
            (make_pipeline(median, StandardScaler()) if scaled else median, numbers),
            (
                make_pipeline(
                    SimpleImputer(strategy="constant", fill_value="missing"),
                    OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                ),
                categories,
            ),
            sparse_threshold=0.0,
        )
        proba = cross_val_predict(
            make_pipeline(columns, estimator), features.iloc[train], target[train], cv=folds, n_jobs=2, method="predict_proba"
        )
        scores[name] = f1_score(target[train], proba.argmax(1))
    done = {"ended": time(), "fits": FOLDS * len(candidates), "f1": scores}
    print(json.dumps(done))


if __name__ == "__main__":
    main()
