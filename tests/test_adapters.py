"""Other libraries' learners: none of them is imported unless it is used."""

import subprocess
import sys

import pytest


def test_neither_library_is_imported_before_it_is_used() -> None:
    code = "import sys, learner.adapters; print({'sklearn', 'river', 'numba'} & {*sys.modules})"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert seen.stdout == "set()\n"


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [("BudgeClassifier", "sklearn.base", "scikit-learn"), ("BudgeStream", "river", "river")],
)
def test_a_library_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, package: str
) -> None:
    import learner.adapters

    for file in ("scikit_learn", "river_stream"):
        monkeypatch.delitem(sys.modules, f"learner.adapters.{file}", raising=False)
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ImportError, match=f"{name} needs {package}.*: pip install {package}$"):
        getattr(learner.adapters, name)
    with pytest.raises(AttributeError, match="no attribute 'BudgeRegressor'"):
        _ = learner.adapters.BudgeRegressor
