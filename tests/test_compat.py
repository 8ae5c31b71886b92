"""Keras programs that run as they stand, by `gpudl run` or `gpudl.as_keras`, and what is said of missing names."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from digit_files import REPOSITORY
from example_runs import limited, run_source

import gpudl
from gpudl.cli import main
from gpudl.compat import aliases, missing

Output = pytest.CaptureFixture[str]
Paths = pytest.MonkeyPatch


@pytest.fixture
def as_keras() -> Iterator[None]:
    """`import keras` gives gpudl, whether Keras is installed and imported here or not."""
    others = {
        name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] in ("keras", "tensorflow")
    }
    asked = dict(missing.names)
    missing.names.clear()
    aliases.install()
    yield
    aliases.uninstall()
    sys.modules.update(others)
    missing.names.clear()
    missing.names.update(asked)


@pytest.mark.usefixtures("as_keras")
@pytest.mark.parametrize(
    "line",
    [
        "import keras\nDense = keras.layers.Dense",
        "import keras.layers as layers\nDense = layers.Dense",
        "from keras.layers import Dense",
        "from keras.layers import *",
        "from keras.layers.core import Dense",
        "import tensorflow as tf\nDense = tf.keras.layers.Dense",
        "import tensorflow.keras as keras\nDense = keras.layers.Dense",
        "import tensorflow.keras.layers\nDense = tensorflow.keras.layers.Dense",
        "from tensorflow import keras\nDense = keras.layers.Dense",
        "from tensorflow.keras import layers as L\nDense = L.Dense",
        "from tensorflow.keras.layers import Dense",
    ],
)
def test_every_way_to_import_a_layer(line: str) -> None:
    assert run_source(line, "program")["Dense"] is gpudl.layers.Dense


@pytest.mark.usefixtures("as_keras")
@pytest.mark.parametrize("name", ["ops.nn.sigmoid", "ops.numpy.einsum", "ops.image.resize", "ops.linalg.norm"])
def test_functions_are_found_in_the_inner_modules_too(name: str) -> None:
    assert aliases.exists(f"keras.{name}")
    assert not aliases.exists(f"keras.{name}_not")


@pytest.mark.usefixtures("as_keras")
def test_versions_are_those_of_the_names_that_gpudl_follows() -> None:
    variables = run_source("import keras\nimport tensorflow as tf", "program")
    assert variables["keras"].__version__ == variables["tf"].keras.__version__ == "3.15.0"
    assert variables["tf"].__version__.startswith("2.")
    assert "Sequential" in dir(variables["keras"])


@pytest.mark.usefixtures("as_keras")
def test_what_is_gpudls_own_is_not_found_under_keras() -> None:
    for name in ("keras.training", "keras.kernels", "keras.reports", "tensorflow.compat"):
        with pytest.raises(ModuleNotFoundError, match=f"No module named '{name}'"):
            importlib.import_module(name)


@pytest.mark.usefixtures("as_keras")
def test_missing_names_are_errors_and_are_noted_with_their_place() -> None:
    source = (
        "import keras\ntry:\n    from keras.layers import Foo\nexcept ImportError as error:\n    said = str(error)\n"
    )
    assert "cannot import name 'Foo' from 'keras.layers'" in run_source(source, "one.py")["said"]
    with pytest.raises(AttributeError, match=re.escape("keras.Bar is not in gpudl.")):
        run_source("import keras\nkeras.Bar", "two.py")
    keras = importlib.import_module("keras")
    assert not hasattr(keras, "__wrapped__")
    assert not hasattr(keras, "reports")  # a module of gpudl's own
    assert missing.names.pop("keras.reports")
    assert missing.names == {"keras.layers.Foo": "one.py:3", "keras.Bar": "two.py:2"}


def test_the_text_of_a_program_tells_what_it_will_miss() -> None:
    source = (
        "import os.path, keras, tensorflow.keras.foo as foo\nfrom tensorflow import keras as k, nothing\n"
        "os.path.missing\nfoo.x\nk.layers.Dense.anything\nk.layers.Other\nkeras.layers.More(k.backends)\nother.keras.y\n"
        "from . import keras\nfrom keras.models import Model, Thing\nimport tensorflow as tf\ntf.float32, tf.quux\n"
        "keras.__version__\n"
    )
    assert missing.in_source(source, "p.py", aliases.exists) == {
        "tensorflow.keras.foo": "p.py:1",
        "tensorflow.nothing": "p.py:2",
        "tensorflow.keras.foo.x": "p.py:4",
        "tensorflow.keras.layers.Other": "p.py:6",
        "keras.layers.More": "p.py:7",
        "tensorflow.keras.backends": "p.py:7",
        "keras.models.Thing": "p.py:10",
        "tensorflow.quux": "p.py:12",
    }
    text = missing.report({"keras.foo": "p.py:1", "keras.foo.x": "p.py:4", "keras.bar": "p.py:2"})
    assert text == "Not in gpudl:\n  keras.foo.x  p.py:4\n  keras.bar    p.py:2"


@pytest.mark.usefixtures("as_keras")
@pytest.mark.parametrize("number", ["000", "001", "002", "003", "004"])
def test_the_texts_of_the_tutorials_run_with_their_own_imports(number: str, monkeypatch: Paths, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    limited(monkeypatch, tmp_path).steps = 5
    (path,) = (REPOSITORY / "examples").glob(f"{number}_*.py")
    own = {"000": "import tensorflow.keras as keras", "002": "from tensorflow import keras"}.get(number, "import keras")
    source = path.read_text("utf-8").replace("import gpudl as keras", own)
    source = re.sub(r"\bfrom gpudl\b", "from tensorflow.keras" if number == "002" else "from keras", source)
    assert "gpudl" not in source
    run_source(source, str(path))
    pytest.importorskip("matplotlib.pyplot").close("all")


def program(folder: Path, text: str) -> str:
    path = folder / "program.py"
    path.write_text(text, "utf-8")
    return str(path)


def ran(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-m", "gpudl", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_run_gives_a_program_its_arguments_and_its_folder(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("import keras\nlayers = keras.layers\n")
    text = "import sys, beside\nprint(__name__, sys.argv[1:], beside.layers.Dense.__module__)\nsys.exit(3)\n"
    assert ran("run", program(tmp_path, text), "--epochs", "2") == (
        3,
        f"__main__ ['--epochs', '2'] {gpudl.layers.Dense.__module__}\n",
        "",
    )


def test_run_lists_what_is_missing_where_a_program_fails(tmp_path: Path) -> None:
    path = program(tmp_path, "import keras\nkeras.layers.Dense(1)\nkeras.layers.Foo(1)\nkeras.bar.baz()\n")
    status, out, errors = ran("run", path)
    assert (status, out) == (1, "")
    assert errors.startswith(f'Traceback (most recent call last):\n  File "{path}", line 3, in <module>\n')
    assert "AttributeError: keras.layers.Foo is not in gpudl.\n" in errors
    assert errors.endswith(f"Not in gpudl:\n  keras.layers.Foo  {path}:3\n  keras.bar.baz     {path}:4\n")


def test_run_lists_what_a_program_has_looked_for_in_vain(tmp_path: Path) -> None:
    path = program(tmp_path, "import keras\nprint(hasattr(keras, 'tpu'))\n")
    assert ran("run", path) == (0, "False\n", f"Not in gpudl:\n  keras.tpu  {path}:2\n")


def test_a_program_that_has_no_fault_of_keras(tmp_path: Path) -> None:
    path = program(tmp_path, "1 / 0")
    status, out, errors = ran("run", path)
    assert (status, out) == (1, "")
    assert errors.endswith("ZeroDivisionError: division by zero\n")


def test_check_lists_without_running(tmp_path: Path, capsys: Output) -> None:
    path = program(tmp_path, "print('ran')\nfrom keras.layers import Dense, Foo\n")
    assert main(["run", "--check", path]) == 1
    assert capsys.readouterr().out == f"Not in gpudl:\n  keras.layers.Foo  {path}:2\n"
    assert main(["run", "--check", program(tmp_path, "import keras\nkeras.layers.Dense")]) == 0
    assert capsys.readouterr().out == f"All names of Keras that {path} mentions are in gpudl.\n"
    assert main(["run", "--check", program(tmp_path, "import (")]) == 1
    assert f"gpudl: {path} is not a Python program: " in capsys.readouterr().err


def test_a_program_that_is_not_there(capsys: Output) -> None:
    assert main(["run", "nowhere.py"]) == 1
    assert capsys.readouterr().err == "gpudl: there is no program nowhere.py. Give the path of a Python file.\n"


def test_a_script_and_a_notebook_can_ask_for_it(tmp_path: Path) -> None:
    for line in ("import gpudl.as_keras", "import gpudl; gpudl.load_ipython_extension(None)"):
        text = f"{line}\nimport keras\nprint(keras.Sequential.__module__)"
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == ("gpudl.models.sequential\n", "")


@pytest.mark.usefixtures("as_keras")
def test_a_notebook_can_take_it_back() -> None:
    importlib.import_module("keras.layers")
    gpudl.unload_ipython_extension(None)
    assert "keras" not in sys.modules


def test_keras_that_is_there_already_stays(monkeypatch: Paths) -> None:
    monkeypatch.setitem(sys.modules, "keras", sys.modules["gpudl"])
    with pytest.raises(ImportError, match="keras has been imported before gpudl could replace it"):
        aliases.install()
