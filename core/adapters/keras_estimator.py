"""Dense networks trained with Keras through its scikit-learn wrapper, answered from the kept weights.

The wrapper has no probabilities and its fitted form needs Keras wherever it is opened. So Keras only learns: the weights are
taken out as arrays, and the answers computed from them are compared with Keras' own before the fit counts. A saved model then
needs no Keras to be checked, served or replayed. Saved models name this module: keep the names.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from core.adapters.optional import need
from core.errors import Refused

# Keras computes in single precision, the answers here in double: on probabilities and standardised values they differ by 1e-6.
TOLERANCE = 1e-4
COMPARED_ROWS = 2_000
# A compiled step that spreads over all cores would slow down the fit beside it, and sum in another order.
_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

Layer = tuple[np.ndarray, np.ndarray, str]


def load_keras() -> Any:
    """Import Keras on JAX, one thread; whoever needs it is a worker process.

    Raises
    ------
    Refused
        Keras or JAX is not installed.
    """
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if "intra_op_parallelism_threads" not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_ONE_THREAD}".strip()
    return need("keras")


def make_network(X: np.ndarray, y: np.ndarray, *, shape: dict[str, Any], outputs: int) -> Any:
    """The unfitted network: Dense layers with dropout between them, softmax over ``outputs`` classes or one number (0)."""
    keras = load_keras()
    # Here, not before: the wrapper calls this at the beginning of each fit, so that every fit begins with the same draws.
    keras.utils.set_random_seed(shape["seed"])
    entry = keras.Input((X.shape[1],))
    hidden = entry
    for _ in range(shape["layers"]):
        hidden = keras.layers.Dense(shape["hidden_units"], activation="relu")(hidden)
        if shape["dropout"]:
            hidden = keras.layers.Dropout(shape["dropout"])(hidden)
    end = keras.layers.Dense(outputs or 1, activation="softmax" if outputs else "linear")(hidden)
    network = keras.Model(entry, end)
    network.compile(
        optimizer=keras.optimizers.Adam(shape["learning_rate"]), loss="categorical_crossentropy" if outputs else "mean_squared_error"
    )
    return network


def forward(layers: tuple[Layer, ...], table: np.ndarray) -> np.ndarray:
    """The network's answer from its weights: x W + b layer by layer, relu, softmax or nothing after it; float64."""
    # Beyond single precision Keras itself would answer "not a number"; numbers that large only ever mean "very large".
    values = np.clip(np.asarray(table, dtype=np.float64), -1e30, 1e30)
    for weights, bias, activation in layers:
        values = values @ weights + bias
        if activation == "relu":
            values = np.maximum(values, 0.0)
        elif activation == "softmax":
            shares = np.exp(values - values.max(axis=1, keepdims=True))
            values = shares / shares.sum(axis=1, keepdims=True)
    return values


class _Network(BaseEstimator):
    """What both share: hyperparameters, one fit through the wrapper, the weights.

    Parameters
    ----------
    hidden_units, layers, dropout, learning_rate, epochs, batch_size
        See the catalogue's candidate ``keras``.
    seed : int
        The same rows, settings and seed give equal weights.
    """

    def __init__(
        self, hidden_units: int = 32, layers: int = 1, dropout: float = 0.1, learning_rate: float = 0.005, epochs: int = 30,
        batch_size: int = 32, seed: int = 42,
    ) -> None:
        self.hidden_units, self.layers, self.dropout = hidden_units, layers, dropout
        self.learning_rate, self.epochs, self.batch_size, self.seed = learning_rate, epochs, batch_size, seed

    def _learn(self, wrapper: str, table: np.ndarray, target: np.ndarray, outputs: int, **fit: Any) -> None:
        wrappers = load_keras().wrappers
        shape = {n: getattr(self, n) for n in ("hidden_units", "layers", "dropout", "learning_rate", "seed")}
        wrapped = getattr(wrappers, wrapper)(
            make_network, model_kwargs={"shape": shape, "outputs": outputs},
            fit_kwargs={"epochs": self.epochs, "batch_size": self.batch_size, "verbose": 0, **fit},
        )
        wrapped.fit(np.asarray(table, dtype=np.float32), target)
        network = wrapped.model_
        self.layers_: tuple[Layer, ...] = tuple(
            (np.asarray(one.kernel, dtype=np.float64), np.asarray(one.bias, dtype=np.float64), one.activation.__name__)
            for one in network.layers
            if hasattr(one, "kernel")
        )
        some = table[:COMPARED_ROWS]
        asked = np.asarray(network.predict(np.asarray(some, dtype=np.float32), verbose=0), dtype=np.float64)
        self.difference_ = float(np.max(np.abs(forward(self.layers_, some) - asked) / np.maximum(1.0, np.abs(asked))))
        if not self.difference_ <= TOLERANCE:
            raise Refused(
                f"The network's answers could not be computed from its weights (they differ by {self.difference_:.1e}); "
                "a smaller learning rate keeps the weights in bounds."
            )
        self.n_features_in_ = table.shape[1]

    @property
    def how(self) -> str:
        """What answers, for a person."""
        return f"a Keras network of {len(self.layers_)} layers from its weights, within {max(self.difference_, 1e-9):.0e} of Keras"


class KerasClassifier(ClassifierMixin, _Network):
    """A dense network with softmax at its end; ``keras.wrappers.SKLearnClassifier`` learns it.

    Parameters
    ----------
    class_weight : "balanced" or None
        Balanced gives a rare class as much weight as a common one.
    """

    def __init__(
        self, hidden_units: int = 32, layers: int = 1, dropout: float = 0.1, learning_rate: float = 0.005, epochs: int = 30,
        batch_size: int = 32, class_weight: str | None = None, seed: int = 42,
    ) -> None:
        super().__init__(hidden_units, layers, dropout, learning_rate, epochs, batch_size, seed)
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any) -> KerasClassifier:
        table = np.asarray(X, dtype=np.float64)
        self.classes_, codes = np.unique(y, return_inverse=True)
        weights: dict[str, Any] = {}
        if self.class_weight == "balanced":
            counts = np.bincount(codes)
            weights["class_weight"] = {n: len(codes) / (len(counts) * count) for n, count in enumerate(counts)}
        self._learn("SKLearnClassifier", table, codes, len(self.classes_), **weights)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "layers_")
        return forward(self.layers_, X)

    def predict(self, X: Any) -> np.ndarray:
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])


class KerasRegressor(RegressorMixin, _Network):
    """A dense network with one number at its end, learned on the standardised target by ``keras.wrappers.SKLearnRegressor``."""

    def fit(self, X: Any, y: Any) -> KerasRegressor:
        target = np.asarray(y, dtype=np.float64)
        self.mean_, self.scale_ = float(target.mean()), float(target.std()) or 1.0
        self._learn("SKLearnRegressor", np.asarray(X, dtype=np.float64), ((target - self.mean_) / self.scale_).astype(np.float32), 0)
        return self

    def predict(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "layers_")
        return np.asarray(forward(self.layers_, X)[:, 0] * self.scale_ + self.mean_)
