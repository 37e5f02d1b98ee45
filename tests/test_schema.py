"""Which parts go together: any corruption with any net, code and penalty; what makes no sense is refused by name."""

import jax
import jax.numpy as jnp
import pytest
from ml_collections import FrozenConfigDict

from aejax import checks, codes, corruptions, losses, model, parts, penalties, schema
from aejax.errors import UserError
from tests import configurations

CODES = parts.modules(codes)
PENALTIES = parts.functions(penalties)
MAPS = {"spatial"}  # codes of maps alone
ENCODERS = {
    "mlp": {"encoder.widths": (8,)},
    "conv": {"encoder.widths": (4,)},
    "allconv": {"encoder.widths": (4,)},
}
DECODERS = {
    "mlp": {"decoder.widths": (8,)},
    "conv": {"decoder.widths": (4,)},
    "allconv": {"decoder.widths": (4,)},
}


def shapes(changes):
    """The objective of a config and its gradient, on shapes alone: the terms' names."""
    config = configurations.load("shallow", {"code.size": 6, "code.k": 2, "loss.aux_units": 3, **changes})
    checks.check(config)
    net = model.build(FrozenConfigDict(config), (8, 8, 1))
    arguments = model.arguments(config)
    variables = jax.eval_shape(lambda: model.init(net, 0))

    def loss(params, rest, x, key):
        given = {"weight": jnp.ones(len(x)), "key": key, "progress": 0.5}
        return model.objective(net, {"params": params, **rest}, x, arguments, **given)

    rest = {name: tree for name, tree in variables.items() if name != "params"}
    images = jax.ShapeDtypeStruct((5, 8, 8, 1), jnp.float32)
    gradient, (means, after) = jax.eval_shape(
        jax.grad(loss, has_aux=True), variables["params"], rest, images, jax.random.key(0)
    )
    same = jax.tree.map(lambda a, b: a.shape == b.shape and a.dtype == b.dtype, after, rest)
    assert jax.tree.structure(after) == jax.tree.structure(rest) and all(jax.tree.leaves(same))
    assert jax.tree.structure(gradient) == jax.tree.structure(variables["params"])
    return set(means)


@pytest.mark.parametrize("code", sorted(set(CODES) - MAPS))
@pytest.mark.parametrize("encoder", ["mlp", "conv"])
def test_every_code_goes_with_dense_ends(code, encoder):
    assert "loss" in shapes({"code.name": code, "encoder.name": encoder, **ENCODERS[encoder]})


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_goes_with_maps(code):
    changes = {"code.name": code, "encoder.name": "allconv", "decoder.name": "allconv"}
    assert "loss" in shapes({**changes, **ENCODERS["allconv"], **DECODERS["allconv"]})


@pytest.mark.parametrize("decoder", sorted(DECODERS))
@pytest.mark.parametrize("encoder", ["mlp", "conv"])
def test_every_decoder_goes_with_every_encoder(encoder, decoder):
    if decoder == "allconv":
        with pytest.raises(UserError, match="decoder.name"):
            shapes({"encoder.name": encoder, "decoder.name": decoder, **ENCODERS[encoder], **DECODERS[decoder]})
        return
    shapes({"encoder.name": encoder, "decoder.name": decoder, **ENCODERS[encoder], **DECODERS[decoder]})


@pytest.mark.parametrize("corruption", sorted(parts.functions(corruptions)))
def test_every_corruption_and_emphasis(corruption):
    changes = {} if corruption == "none" else {"corruption.emphasis": 2.0, "corruption.rest": 0.5}
    shapes({"corruption.name": corruption, **changes})


@pytest.mark.parametrize("likelihood", sorted(parts.modules(losses)))
def test_every_likelihood_under_emphasis(likelihood):
    shapes({"loss.likelihood": likelihood, "corruption.name": "masking", "corruption.emphasis": 2.0})


@pytest.mark.parametrize("code", sorted(set(CODES) - MAPS))
def test_every_penalty_goes_with_every_code_that_has_what_it_asks_for(code):
    differentiable = getattr(CODES[code], "differentiable", True)
    extras = set(schema.reported(CODES[code])["extras"])
    known = {"x", "noisy", "h", "z", "output", "weight", "key", "progress", "examples", "encode", "decode"}
    known |= {"decode_linear", "frozen_decode", "one_layer", "encoder_kernels", "decoder_kernels"}
    known |= set(configurations.load("shallow").loss)
    goes = [name for name, f in PENALTIES.items() if parts.parameters(f) <= known | extras]
    goes = [name for name in goes if differentiable or not name.startswith("contractive")]
    assert {"l1", "l2", "weight_decay", "mmd_imq"} <= set(goes)
    changes = {"code.name": code, "code.activation": "sigmoid", "loss.likelihood": "squared_error"}
    changes |= {f"loss.{name}": 0.5 for name in goes}
    if code != "importance_weighted" and schema.parts.build(CODES[code], {"size": 6}).features == 6:
        changes["decoder.name"] = "dictionary"
    else:
        changes["loss.aux_k"] = 0.0
        goes = [name for name in goes if name != "aux_k"]
    assert set(goes) <= shapes(changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss.total_correlation": 1.0}, "loss.total_correlation.*accepted.*variational"),
        ({"loss.l0": 1.0}, "loss.l0.*jump_relu"),
        ({"loss.gate_l1": 1.0}, "loss.gate_l1.*gated"),
        ({"loss.aux_k": 1.0}, "loss.aux_k.*decoder.name='mlp'.*dictionary"),
        ({"loss.kl_sparsity": 1.0}, "loss.kl_sparsity.*code.activation='relu'"),
        ({"code.name": "gated", "loss.gate_auxiliary": 1.0}, "loss.gate_auxiliary.*bernoulli"),
        ({"code.name": "k_sparse", "code.k": 100}, "code.k=100"),
        ({"corruption.low": 1.0}, "corruption.low=1.0"),
        (
            {"corruption.name": "clipped_gaussian", "data.whiten": "centred", "loss.likelihood": "squared_error"},
            "clipped",
        ),
        ({"start.parts": ("brain",)}, "start.parts"),
        ({"start.workdir": "nowhere"}, "no run"),
        ({"greedy.epochs": 1, "encoder.norm": "batch"}, "encoder.norm"),
        ({"greedy.epochs": 1, "greedy.likelihood": "foo"}, "greedy.likelihood='foo'"),
        ({"loss.contractive": 1.0, "code.name": "hashing"}, "loss.contractive.*hashing"),
        ({"decoder.name": "tied", "code.name": "variational"}, "decoder.name='tied'"),
        ({"decoder.name": "tied", "encoder.name": "conv", "encoder.widths": (4,)}, "decoder.name='tied'"),
        ({"code.name": "spatial"}, "code.name"),
        ({"code.name": "nothing"}, "code.name='nothing'"),
        ({"corruption.name": "rain"}, "corruption.name='rain'"),
        ({"data.binarise": "twice"}, "data.binarise='twice'"),
        ({"data.whiten": "twice"}, "data.whiten='twice'"),
        ({"model": "oracle"}, "model='oracle'"),
        ({"encoder.norm": "group"}, "encoder.norm"),
        ({"greedy.epochs": 1, "code.name": "variational"}, "greedy.epochs.*deterministic"),
        ({"greedy.epochs": 1, "encoder.widths": (8,)}, "greedy.epochs.*decoder"),
        ({"optim.freeze": ("encoder", "brain")}, "brain"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(changes, message, tmp_path):
    from aejax import train

    with pytest.raises(UserError, match=message) as error:
        train.run(configurations.load("shallow", changes), tmp_path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "config.json").exists(), "the folder stays free for a config that is right"


def test_keys_of_a_penalty_are_read_only_with_it():
    config = configurations.load("shallow", {"loss.kl_sparsity": 1.0})
    read = schema.keys_read(config)
    assert "loss.sparsity" in read and "loss.noise" not in read and "loss.kl" not in read
    assert "loss.kl" in schema.keys_read(configurations.load("shallow", {"code.name": "variational"}))


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({}, "classifier.on", "classifier.on is not read with config.model='autoencoder'"),
        ({"model": "classifier"}, "decoder.widths", "decoder.widths is not read with config.model='classifier'"),
        ({"model": "classifier"}, "loss.l1", "loss.l1 is not read with config.model='classifier'"),
        ({}, "start.parts", "start.parts is not read with config.start.workdir=''"),
        ({}, "greedy.likelihood", "greedy.likelihood is not read with config.greedy.epochs=0"),
        ({}, "code.k", "code.k is not read with config.code.name='deterministic'"),
        ({}, "encoder.norm", "encoder.norm is not read with config.encoder.name='mlp'"),
        ({}, "encoder.kernel", "encoder.kernel is not read with config.encoder.name='mlp'"),
    ],
)
def test_a_key_that_nothing_reads_is_refused(changes, key, message):
    with pytest.raises(UserError, match=message):
        checks.check_overrides(configurations.load("shallow", changes), [key])
