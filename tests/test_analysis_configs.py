"""Every analysis on runs of every kind: it finds something, or says in a line why it has nothing to say."""

import json

import pytest

from aejax import train
from aejax.analysis import command, report
from tests import configurations

# One config of each kind of code and net.
KINDS = ("allconv", "classifier", "conv_wta", "hashing", "text", "topk", "vae", "vqvae")

# What takes long is asked for less.
LESS = {
    "likelihood": ["--samples=20", "--images=20"],
    "jacobian": ["--images=10"],
    "denoise": ["--limit=60"],
    "samples": ["--components=2"],
    "probe": ["--limit=200", "--classifiers=logistic"],
    "hashing": ["--queries=50"],
}

# What a classifier answers too; and the configs that some alone have an answer for, or do not.
FOR_ALL = ("losses", "filters", "activations", "latents", "neighbours", "probe", "sparsity", "jacobian", "hashing")
ONLY = {"grid": {"allconv"}, "likelihood": {"vae"}}
NEVER = {"walk": {"vqvae"}}


def answers(analysis: str, name: str) -> bool:
    if analysis in ONLY:
        return name in ONLY[analysis]
    return name not in NEVER.get(analysis, ()) and (name != "classifier" or analysis in (*FOR_ALL, "gradients"))


@pytest.mark.parametrize("name", KINDS)
def test_every_analysis_answers_or_says_why_not(name, tmp_path, tiny):
    assert train.run(tiny(name, {"train.epochs": 1}), tmp_path) == 0
    with command.shared_runs():
        for analysis, module in report.modules().items():
            flags = [f"--workdir={tmp_path}", *LESS.get(analysis, [])]
            parsed = command.parse(analysis, flags, getattr(module, "define", None))
            outcome = command.run_analysis(analysis, module.analyse, tmp_path, parsed)
            assert bool(outcome.reason) != answers(analysis, name), (analysis, outcome.reason)
            if outcome.reason:
                assert "\n" not in outcome.reason
            else:
                numbers = json.loads(outcome.numbers.read_text(), parse_constant=pytest.fail)
                assert numbers["config"] == configurations.load(name).name and outcome.summary
                assert all(picture.stat().st_size > 2000 for picture in outcome.pictures)
