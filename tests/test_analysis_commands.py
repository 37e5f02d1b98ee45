"""The analysis commands: on a run made by hand, on a real one, and on users' mistakes."""

import importlib
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import ConfigDict, FrozenConfigDict

import aejax
from aejax import codes
from aejax import parts as parts_by_name
from aejax.analysis import command, figure, filters
from aejax.pictures import Pictures
from tests.test_analysis import METRICS

COMMANDS = ("reconstructions", "filters", "losses", "probe")


class HandMadeRun:
    """A one-layer ReLU autoencoder on 4×4 images with as many units as pixels: unit j reads and writes pixel j.

    Unit 15 reads with a negative weight, so it never fires.
    """

    def __init__(self, workdir, labels=True, valid=20, channels=1, seed=0):
        rng = np.random.default_rng(seed)
        d = 16 * channels
        self.workdir, self.step, self.shape = workdir, 1234, (4, 4, channels)
        self.config, self.words, self.code_shape = FrozenConfigDict(config()), (), (d,)
        eye = np.eye(d, dtype=np.float32)
        eye[15, 15] = -1
        self.variables = {"params": {"encoder": {"layers_0": {"kernel": eye, "bias": np.zeros(d)}},
                                     "decoder": {"layers_0": {"kernel": eye.copy(), "bias": np.zeros(d)}}}}  # fmt: skip
        self.splits = {}
        for name, n in {"train": 60, "valid": valid, "test": 30}.items():
            y = (np.arange(n) % 3).astype(np.int32)
            x = rng.integers(1, 100, (n, *self.shape), dtype=np.uint8)
            x[np.arange(n), 0, y] = 250  # the class is the bright pixel of the first row
            self.splits[name] = SimpleNamespace(images=x, labels=y if labels else None)

    def reshaped(self, *shape):
        """The same run on the same pixels in another shape, such as that of sound or text."""
        self.shape = shape
        for split in self.splits.values():
            split.images = split.images.reshape(-1, *shape)
        return self

    def dataset(self):
        return SimpleNamespace(**self.splits, classes=("ant", "bee", "cow"), shape=self.shape)

    def prepare(self, x):
        return x.astype(np.float32) / 255

    def encode(self, x):
        return np.maximum(
            self.prepare(x).reshape(len(x), -1) @ self.variables["params"]["encoder"]["layers_0"]["kernel"], 0
        )

    def picture(self, x, like=None):
        return x

    def decode(self, z):
        return (z @ self.variables["params"]["decoder"]["layers_0"]["kernel"]).reshape(-1, *self.shape)

    def reconstruct(self, x):
        return self.decode(self.encode(x))


def config():
    return ConfigDict({"name": "byhand", "data": {"name": "npz:toy.npz"}, "corruption": {"name": "none"},
                       "code": {"name": "lifetime"}, "loss": {"likelihood": "squared_error", "l1": 0.1}})  # fmt: skip


@pytest.fixture
def workdir(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in METRICS))
    (tmp_path / "config.json").write_text(config().to_json())
    return tmp_path


@pytest.fixture
def execute(workdir, monkeypatch, capsys):
    """Runs a command on a run made by hand: (status, standard output, standard error, JSON or None)."""

    def execute(name, *arguments, run=None):
        monkeypatch.setattr(aejax, "load", lambda _, best=False: run or HandMadeRun(workdir))
        status = importlib.import_module(f"aejax.analysis.{name}").main([f"--workdir={workdir}", *arguments])
        out, err = capsys.readouterr()
        path = workdir / "analysis" / f"{name}.json"
        return status, out, err, json.loads(path.read_text(), parse_constant=pytest.fail) if path.exists() else None

    return execute


def test_reconstructions_command(execute, workdir):
    run = HandMadeRun(workdir)
    status, out, _, numbers = execute("reconstructions", "--images=6", run=run)
    lost = (run.splits["test"].images[:, 3, 3, 0] / 255.0) ** 2  # all but the pixel of the dead unit comes back
    assert status == 0 and numbers["squared_error"]["mean"] == pytest.approx(lost.mean(), rel=1e-4)
    assert numbers["squared_error_by_class"]["bee"] == pytest.approx(lost[1::3].mean(), rel=1e-4)
    assert [s["class"] for s in numbers["shown"]] == ["ant", "ant", "bee", "bee", "cow", "cow"]
    assert numbers["worst_test_indices"][0] == lost.argmax() and f"{lost.mean():.3g} an image" in out
    assert (workdir / "analysis/reconstructions.png").read_bytes().startswith(b"\x89PNG")
    status, _, _, numbers = execute("reconstructions", "--images=4", run=HandMadeRun(workdir, labels=False, channels=3))
    assert status == 0 and [s["test_index"] for s in numbers["shown"]] == [0, 10, 19, 29]


def test_filters_command_counts_the_dead(execute, workdir):
    status, out, _, numbers = execute("filters", "--units=5")
    assert status == 0 and numbers["dead_units"] == [15] and "1 of 16 code units (6.2 %) never fire" in out
    assert numbers["decoder"]["energy_in_top_tenth"] == 1 and numbers["decoder"]["units"] == 15
    assert numbers["shown"]["encoder"] == numbers["shown"]["decoder"] and len(numbers["shown"]["encoder"]) == 5
    run = HandMadeRun(workdir, channels=3)
    run.variables["params"]["decoder"] = {"bias_0": np.zeros(48)}
    run.reconstruct = None  # filters need no reconstructions
    status, out, _, numbers = execute("filters", "--choose=norm", run=run)
    assert status == 0 and numbers["tied"] and "tied" in out
    status, _, err, _ = execute("filters", "--choose=best")
    assert status == 2 and "--choose=best: accepted are even, norm, firing" in err


@pytest.mark.parametrize(
    "shape, noun, told",
    [((1, 4, 4), "sounds", "frequency upwards"), ((1, 16, 1), "sounds", "time"), ((1, 1, 16), "vectors", "16 values")],
)
def test_sounds_and_vectors_are_shown(execute, workdir, monkeypatch, shape, noun, told):
    titles = []
    monkeypatch.setattr(figure, "set_title", lambda _, title: titles.append(title))
    run = HandMadeRun(workdir).reshaped(*shape)
    for name in ("reconstructions", "filters"):
        status, out, _, _ = execute(name, run=run)
        assert status == 0 and noun in out and told in titles[-1]


def test_texts_are_told_in_words(execute, workdir):
    run = HandMadeRun(workdir).reshaped(1, 1, 16)
    run.words = tuple(f"word{i}" for i in range(16))
    status, out, _, numbers = execute("reconstructions", "--images=6", run=run)
    image = run.splits["test"].images[numbers["texts"][5]["test_index"]].ravel() / 255
    assert numbers["texts"][5]["input"][0] == ["word2", pytest.approx(250 / 255, rel=1e-4)]  # of the class
    assert dict(numbers["texts"][5]["input"])["word2"] == pytest.approx(image[2], rel=1e-4)
    assert "word15" not in dict(numbers["texts"][0]["output"]) and out.count("Its reconstruction: word") == 5
    status, out, _, numbers = execute("filters", run=run)
    assert numbers["words_by_unit"]["3"] == [["word3", 1]] and "unit 0: word0 1" in out


def test_a_multinomial_answers_for_all_draws(execute, workdir):
    run = HandMadeRun(workdir).reshaped(1, 1, 16)
    run.config = FrozenConfigDict({**config().to_dict(), "loss": {"likelihood": "multinomial"}})
    run.reconstruct = lambda x: run.prepare(x) / run.prepare(x).sum(axis=(1, 2, 3), keepdims=True)
    assert execute("reconstructions", run=run)[3]["explained"] == pytest.approx(1)


def test_reconstructions_with_the_masks_of_training(execute, workdir):
    run = HandMadeRun(workdir)
    run.sample_codes = lambda x: 0 * run.encode(x)
    status, _, _, numbers = execute("reconstructions", "--as_trained", run=run)
    squares = np.square(run.splits["test"].images / 255.0).sum((1, 2, 3))
    assert status == 0 and numbers["as_trained"]
    assert numbers["squared_error"]["mean"] == pytest.approx(squares.mean(), rel=1e-4)


def test_a_classifier_has_features_and_no_decoder(execute, workdir):
    run = HandMadeRun(workdir)
    run.config = FrozenConfigDict({**config().to_dict(), "model": "classifier"})
    run.variables["params"]["head"] = run.variables["params"].pop("decoder")
    run.reconstruct = run.decode = None
    status, out, err, _ = execute("reconstructions", run=run)
    assert status == 0 and not err and out.count("\n") == 1 and "does not apply" in out and "a classifier" in out
    status, out, _, numbers = execute("filters", run=run)
    assert status == 0 and "no decoder" in out and "decoder" not in numbers and numbers["dead_units"] == [15]
    assert list(numbers["shown"]) == ["encoder"] and not numbers["tied"]
    status, out, _, numbers = execute("probe", "--classifiers=svm", run=run)
    assert status == 0 and numbers["svm"]["codes"]["test_accuracy"] == 100 and "features that its head reads" in out


def test_codes_of_maps(execute, workdir):
    run = HandMadeRun(workdir)
    run.code_shape, flat = (4, 4, 1), run.encode
    run.encode = lambda x: flat(x).reshape(-1, 4, 4, 1)
    status, out, _, numbers = execute("probe", "--classifiers=svm", run=run)
    assert status == 0 and numbers["features"]["codes"]["dimensions"] == 16 and "pooled" not in out
    status, out, _, numbers = execute("filters", run=run)
    assert numbers["code_units"] == 1 and numbers["maps"] == [4, 4] and "A unit is a map" in out
    run.code_shape = (4, 4, 2000)
    run.encode = lambda x: np.broadcast_to(flat(x).reshape(-1, 4, 4, 1), (len(x), 4, 4, 2000))
    status, out, _, numbers = execute("probe", "--classifiers=svm", run=run)
    codes = numbers["features"]["codes"]
    assert codes["dimensions"] == 2000 and codes["pooled"]["window"] == [4, 4]
    assert "The codes, 4×4×2000, are max-pooled over 4×4 to 2,000 features." in out


@pytest.mark.parametrize("name", ("reconstructions", "filters", "probe"))
def test_best_weights_where_asked_for(execute, workdir, monkeypatch, name):
    status, _, _, numbers = execute(name)
    assert status == 0 and "weights" not in numbers
    asked = []

    def load(_, best=False):
        asked.append(best)
        return HandMadeRun(workdir)

    monkeypatch.setattr(aejax, "load", load)
    assert importlib.import_module(f"aejax.analysis.{name}").main([f"--workdir={workdir}", "--best"]) == 0
    assert asked == [True]
    assert json.loads((workdir / "analysis" / f"{name}.json").read_text())["weights"] == "best"


def test_what_acts_in_training_only():
    parts = {"corruption": {"name": "masking"}, "code": {"name": "variational"}, "encoder": {"dropout": 0.5}}
    assert command.training_only(parts) == ["corruption masking", "code variational", "encoder dropout"]
    assert command.training_only({**parts, "model": "classifier"}) == ["corruption masking", "encoder dropout"]
    assert command.training_only(parts, but=command.DRAWN) == ["corruption masking", "encoder dropout"]
    assert command.training_only({"corruption": {"name": "none"}, "code": {"name": "top_k"}}) == []
    known = parts_by_name.modules(codes)
    assert {*command.SAME, *command.DRAWN} < known.keys()
    rest = known.keys() - {*command.SAME, *command.DRAWN}
    assert rest == {"batch_top_k", "gumbel_sigmoid", "hashing", "lifetime", "spatial"}  # masks, relaxation, noise


@pytest.mark.parametrize("epoch, told", [(0, "0 epochs"), (1, "1 epoch"), (20, "20 epochs")])
def test_pictures_in_training_say_when_and_how(tmp_path, monkeypatch, epoch, told):
    drawn = []
    monkeypatch.setattr(figure, "draw_reconstructions", lambda x, y, title: drawn.append((y, title)))
    monkeypatch.setattr(figure, "save", lambda *_: None)
    config = SimpleNamespace(name="toy", loss=SimpleNamespace(likelihood="multinomial"))
    trainer = SimpleNamespace(config=config, masked=False)
    begun = SimpleNamespace(wait=lambda: None)
    pictures = SimpleNamespace(trainer=trainer, folder=tmp_path / "figures", _split="test", _begun=begun)
    x = np.ones((2, 1, 1, 4), np.float32)
    Pictures._draw(pictures, epoch, x, x / 4)
    y, title = drawn[0]
    assert np.array_equal(y, x) and title.splitlines()[0].endswith(f"reconstructions after {told}")
    assert "4 values, row under row" in title and "\n" in title


def test_losses_command(execute):
    status, out, _, numbers = execute("losses", run="not needed")
    assert status == 0 and numbers["penalties"] == ["l1"] and numbers["step"] == 80
    assert "13 on train, 23 on valid, 16 on test" in out and "code lifetime" in out


def test_probe_command(execute, workdir):
    status, out, _, numbers = execute("probe")
    assert status == 0 and numbers["svm"]["codes"]["test_accuracy"] == 100
    assert numbers["logistic"]["pixels"]["confusion"] == [[10, 0, 0], [0, 10, 0], [0, 0, 10]]
    assert "within noise of" in out and "100.00 % on the codes" in out and "Most confused from the codes: none" in out
    assert numbers["examples"] == {"train": 60, "valid": 20, "test": 30}
    status, _, _, numbers = execute("probe", "--classifiers=svm", "--limit=12")
    assert status == 0 and "logistic" not in numbers and numbers["examples"]["train"] == 9


@pytest.mark.parametrize(
    "run, arguments, told",
    [
        ({"valid": 0}, [], "valid split"),
        ({}, ["--classifiers=knn"], "accepted are svm, logistic"),
        ({}, ["--limit=-1"], "--limit"),
    ],
)
def test_probe_refuses_by_name(execute, workdir, run, arguments, told):
    status, _, err, _ = execute("probe", *arguments, run=HandMadeRun(workdir, **run))
    assert status == 2 and err.count("\n") == 1 and told in err


def test_what_does_not_apply_is_one_line_and_status_0(execute, workdir):
    status, out, err, numbers = execute("probe", run=HandMadeRun(workdir, labels=False))
    assert status == 0 and not err and out.count("\n") == 1 and "does not apply: a probe needs labels" in out
    assert numbers is None and not (workdir / "analysis").exists()
    run = HandMadeRun(workdir)
    for split in run.splits.values():
        split.labels = np.zeros_like(split.labels)
    status, out, _, _ = execute("probe", run=run)
    assert status == 0 and "all of one" in out


def test_runs_are_shared_where_asked_for(workdir, monkeypatch):
    monkeypatch.setattr(aejax, "load", lambda _, best=False: HandMadeRun(workdir))
    assert command.load(workdir) is not command.load(workdir)
    with command.shared_runs():
        run = command.load(workdir)
        assert command.load(workdir) is run and command.load(workdir, best=True) is not run
        with command.shared_runs():
            assert command.load(workdir) is run
    assert command.load(workdir) is not run


def test_further_pictures_lie_beside_the_first(workdir, capsys):
    found = command.Findings(figure.new(), {"a": 1}, ["told"], {"sheet": figure.new()})
    assert command.execute("toy", lambda *_: found, [f"--workdir={workdir}"]) == 0
    there = sorted(path.name for path in (workdir / "analysis").iterdir())
    assert there == ["toy.json", "toy.png", "toy_sheet.png"]
    out = capsys.readouterr().out.splitlines()
    assert out == ["told", *(str(workdir / "analysis" / name) for name in ("toy.png", "toy_sheet.png", "toy.json"))]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    "arguments, told",
    [([], "--workdir=DIR is missing"), (["--wrkdir=x"], "wrkdir"), (["--workdir=/nowhere"], "/nowhere"),
     (["--workdir=.", "more"], "'more'")],
)  # fmt: skip
def test_a_mistake_is_one_line_and_status_2(name, arguments, told, capsys):
    assert importlib.import_module(f"aejax.analysis.{name}").main(arguments) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and told in err and "--workdir" in err


def test_results_that_cannot_be_written(execute, workdir):
    (workdir / "analysis").write_text("in the way")
    status, out, err, _ = execute("filters")
    assert status == 2 and not out and err.count("\n") == 1 and "cannot write" in err


def test_help_names_the_flags(capsys):
    assert filters.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "--units" in out and "--choose" in out and "--workdir" in out


def test_class_names_are_complete():
    assert command.class_names(SimpleNamespace(classes=("a",)), np.array([0, 2])) == ["a", "1", "2"]
    assert command.class_names(SimpleNamespace(classes=None), np.array([1])) == ["0", "1"]


def test_drawing_needs_no_pyplot_and_no_flags_are_global():
    code = "import sys; from absl import flags\n"
    code += "".join(f"import aejax.analysis.{name}\n" for name in ("figure", *COMMANDS))
    code += "assert 'matplotlib.pyplot' not in sys.modules\n"
    code += "assert not [m for m in flags.FLAGS.flags_by_module_dict() if 'aejax' in m]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_commands_on_a_real_run(tmp_path, capsys):
    main = [sys.executable, "-m", "aejax.main", "--config=configs/wta.py:tiny", f"--workdir={tmp_path}"]
    main += ["--config.train.epochs=1", "--config.log.tensorboard=False", "--config.log.figure_epochs=()"]
    subprocess.run(main, check=True, capture_output=True)
    for name in COMMANDS:
        assert importlib.import_module(f"aejax.analysis.{name}").main([f"--workdir={tmp_path}"]) == 0
        assert json.loads((tmp_path / "analysis" / f"{name}.json").read_text())["config"] == "wta_tiny"
        assert len(capsys.readouterr().out.splitlines()) >= 3
