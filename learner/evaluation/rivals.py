"""Other people's learners of vectors: River's, scikit-learn's. Imported when first used.

Each is set up as its own documentation does it, scaled where it needs scaling. They say nothing of
the unknown themselves: how little the likeliest activity is likely stands in for novelty.
"""

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, Self

import numpy as np

from learner.classifier import InexactError
from learner.features import Floats, Samples
from learner.recognizer import Prediction

SEED = 0
TREES = 300


class Model(Protocol):
    """A learner of vectors."""

    def learn(self, x: Floats, activity: str) -> None: ...
    def judge(self, x: Floats) -> dict[str, float]:
        """Return the probability of every activity it knows."""
        ...


class River:
    """One of River's classifiers, behind its scaler where it needs one."""

    def __init__(self, path: str, *, scaled: bool = False, **options: Any) -> None:
        module, name = path.split(".")
        self._model = getattr(import_module(f"river.{module}"), name)(**options)
        if scaled:
            self._model = import_module("river.preprocessing").StandardScaler() | self._model

    def learn(self, x: Floats, activity: str) -> None:
        self._model.learn_one(dict(enumerate(x.tolist())), activity)

    def judge(self, x: Floats) -> dict[str, float]:
        return dict(self._model.predict_proba_one(dict(enumerate(x.tolist()))))


class Descent:
    """scikit-learn's logistic regression by stochastic gradient descent, a window at a time.

    It takes no class that it was not told of at first, so it is told all names in advance.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._scaler = import_module("sklearn.preprocessing").StandardScaler()
        descent = import_module("sklearn.linear_model").SGDClassifier
        self._model = descent(loss="log_loss", random_state=SEED)
        self._names = np.array(sorted(names))
        self._known: set[str] = set()

    def learn(self, x: Floats, activity: str) -> None:
        self._scaler.partial_fit(x[None])
        self._model.partial_fit(self._scaler.transform(x[None]), [activity], self._names)
        self._known.add(activity)

    def judge(self, x: Floats) -> dict[str, float]:
        if not self._known:
            return {}
        (likely,) = self._model.predict_proba(self._scaler.transform(x[None]))
        return dict(zip(self._names.tolist(), likely.tolist(), strict=True))


class Refitted:
    """scikit-learn's extremely randomized trees, grown anew from everything after every lesson."""

    def __init__(self) -> None:
        self._vectors: list[Floats] = []
        self._activities: list[str] = []
        self._model: Any = None

    def learn(self, x: Floats, activity: str) -> None:
        self._vectors.append(x.copy())
        self._activities.append(activity)
        self._model = None

    def judge(self, x: Floats) -> dict[str, float]:
        if not self._vectors:
            return {}
        if self._model is None:
            forest = import_module("sklearn.ensemble").ExtraTreesClassifier
            self._model = forest(TREES, random_state=SEED)
            self._model.fit(self._vectors, self._activities)
        (likely,) = self._model.predict_proba(x[None])
        return dict(zip(self._model.classes_.tolist(), likely.tolist(), strict=True))


MODELS: dict[str, Callable[[Sequence[str]], Model]] = {
    "river_amf": lambda _: River("forest.AMFClassifier", seed=SEED),
    "river_arf": lambda _: River("forest.ARFClassifier", seed=SEED),
    "river_naive_bayes": lambda _: River("naive_bayes.GaussianNB"),
    "river_tree": lambda _: River("tree.HoeffdingAdaptiveTreeClassifier", seed=SEED),
    "river_nearest": lambda _: River("neighbors.KNNClassifier", scaled=True),
    "river_softmax": lambda _: River("linear_model.SoftmaxRegression", scaled=True),
    "sklearn_sgd": Descent,
    "sklearn_extra_trees": lambda _: Refitted(),
}


def names() -> list[str]:
    """Every rival whose library is installed."""
    found = {library for library in ("river", "sklearn") if find_spec(library)}
    return [name for name in MODELS if name.split("_")[0] in found]


class Rival:
    """A rival in the place of `Recognizer`. It has no sense of time."""

    def __init__(
        self, name: str, activities: Sequence[str], describe: Callable[[Samples], Floats]
    ) -> None:
        """Know nothing yet; `activities` may come up, `describe` makes a vector of a window."""
        self._describe = describe
        self._model = MODELS[name](activities)

    def learn(self, samples: Samples, activity: str) -> None:
        self._model.learn(self._describe(samples), activity)

    def settle(self) -> None:
        """Leave nothing for later: whoever does, does it when asked."""

    def predict(self, samples: Samples) -> Prediction:
        likely = self._model.judge(self._describe(samples))
        if not likely:
            return Prediction(None, 0.0, 1.0, {})
        best = max(likely, key=likely.__getitem__)
        return Prediction(best, likely[best], 1.0 - likely[best], likely)

    @classmethod
    def pool(cls, recognizers: Iterable[Self]) -> Self:
        n = len(list(recognizers))
        raise InexactError(f"{n} rivals cannot be pooled: teach one of them everything")
