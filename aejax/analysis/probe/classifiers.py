"""Linear classifiers on features: scaling, the choice of C, the final fit.

Both minimise ``½ ‖W‖² + C Σ_i loss(W x_i + b, y_i)``: the support vector machine
with the squared hinge, one class against the rest; logistic regression with the
multinomial cross-entropy.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import joblib
import numpy as np
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

GRID = tuple(10.0 ** (k / 2) for k in range(-3, 9))  # the values of C tried, ascending: 0.03 to 10,000
Features = np.ndarray | scipy.sparse.csr_matrix


@dataclass(frozen=True)
class Scaling:
    """``x -> factor · (x - centre)``, fitted on train alone.

    ``factor`` gives the features of train a mean squared norm of 1, so that one grid
    of C serves every feature. Features that are mostly zeros are not centred, which
    would fill them in (the classifier's bias does what is left of its work); others
    are, or a large common part would use up the norm. No feature has a scale of its
    own: that would blow up the units that hardly ever fire.
    """

    factor: float
    centre: np.ndarray | None  # [d], or None where more than half of the values are zero

    @classmethod
    def fit(cls, x: np.ndarray) -> "Scaling":
        """The scaling for features x [n, d]."""
        centre = None if np.count_nonzero(x) < x.size / 2 else x.mean(axis=0, dtype=np.float64).astype(x.dtype)
        deviation = x if centre is None else x - centre
        norm = np.einsum("nd,nd->", deviation, deviation, dtype=np.float64) / len(x)
        return cls(float(norm**-0.5) if norm > 0 else 1.0, centre)

    def __call__(self, x: np.ndarray) -> Features:
        """The features x [n, d] scaled, float64; as a CSR matrix where they are not centred."""
        if self.centre is not None:
            return (x - self.centre).astype(np.float64) * self.factor
        return scipy.sparse.csr_matrix(x, dtype=np.float64) * self.factor


class Svm:
    """Fits support vector machines for growing C with whichever solver of liblinear is fast there.

    Dual coordinate descent wins while C is small and stalls once it is large; the
    primal Newton method costs much the same everywhere. So the dual goes first, and
    once it has not converged, the primal does that C and all that follow.
    """

    PASSES = 100

    def __init__(self):
        self.dual = True

    def fit(self, c: float, x: Features, y: np.ndarray) -> LinearSVC:
        """The machine for C = c on features x [n, d] and labels y [n]."""
        if self.dual:
            model = _quietly(LinearSVC(C=c, dual=True, tol=1e-2, max_iter=self.PASSES, random_state=0), x, y)
            if model.n_iter_ < self.PASSES:
                return model
            self.dual = False
        return _quietly(LinearSVC(C=c, dual=False, tol=1e-4), x, y)


class Logistic:
    """Fits logistic regressions, each from zero.

    From the weights of a smaller C the gradient is within the tolerance at once, and
    the fit would stop where it starts.
    """

    def fit(self, c: float, x: Features, y: np.ndarray) -> LogisticRegression:
        """The regression for C = c on features x [n, d] and labels y [n]."""
        return _quietly(LogisticRegression(C=c, max_iter=1000), x, y)


FAMILIES = {"svm": Svm, "logistic": Logistic}
TITLES = {"svm": "linear SVM", "logistic": "logistic regression"}


@dataclass(frozen=True)
class Fit:
    """A classifier with the C that valid chose, fitted anew on train and valid together."""

    c: float
    valid_accuracy: dict[float, float]  # C -> accuracy on valid of the classifier fitted on train, a share
    model: LinearSVC | LogisticRegression


def choose_and_fit(
    family: str, train: Features, train_labels: np.ndarray, valid: Features, valid_labels: np.ndarray
) -> Fit:
    """Choose C on valid, then fit on train and valid at that C.

    ``GRID`` is walked upwards until two values in a row (each is the dearer the
    larger) are no better than the best before them; of equal values the smallest C,
    the stronger regularisation, is taken.

    Args:
      family: a key of ``FAMILIES``.
      train, valid: scaled features [n, d].
      train_labels, valid_labels: [n] integers.
    """
    fitter, accuracy = FAMILIES[family](), {}
    for c in GRID:
        accuracy[c] = float(np.mean(fitter.fit(c, train, train_labels).predict(valid) == valid_labels))
        best = max(accuracy, key=accuracy.get)  # the first of equals
        if len(accuracy) - 1 - list(accuracy).index(best) >= 2:
            break
    stack = scipy.sparse.vstack if scipy.sparse.issparse(train) else np.concatenate
    both = stack([train, valid])
    return Fit(best, accuracy, FAMILIES[family]().fit(best, both, np.concatenate([train_labels, valid_labels])))


def fit_all(tasks: Sequence[tuple], parallel_above: int = 5_000_000) -> list[Fit]:
    """``choose_and_fit(*task)`` for each task, in processes where the features hold enough values to pay for them.

    Processes and not threads: liblinear draws from one random state a process, so
    threads would make the results depend on their timing.
    """
    values = sum(task[1].nnz if scipy.sparse.issparse(task[1]) else task[1].size for task in tasks)
    jobs = min(len(tasks), joblib.cpu_count()) if values > parallel_above else 1
    return joblib.Parallel(n_jobs=jobs)(joblib.delayed(choose_and_fit)(*task) for task in tasks)


def _quietly(model, x: Features, y: np.ndarray):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y)
