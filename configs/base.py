"""Every key that a run can set, with its default.

The other files in this folder override a few of these and lock the result, so
a misspelt key is an error and not a silent default. Numbers that a sweep may
vary (marked *argument*) reach the compiled step as arguments: changing one
never recompiles.

Nothing here imports aejax: reading a config does not touch JAX.
"""

from collections.abc import Callable, Mapping

from ml_collections import ConfigDict


def base() -> ConfigDict:
    """All keys at their defaults, unlocked: for the config files to build on."""
    c = ConfigDict()
    c.name = "base"  # what the run is called; the default workdir is runs/<name>
    c.seed = 0  # initial weights, order of the batches, noise (argument)

    c.data = ConfigDict()
    c.data.name = "mnist5k"  # mnist5k, digits, mnist, fashion_mnist, kmnist, cifar10, npz:, folder:, tfds:
    c.data.dir = ""  # folder searched first for the files of a canonical set
    c.data.size = 0  # resize images of folder: and tfds: to this height and width in pixels; 0 keeps theirs
    c.data.channels = 0  # convert images of folder: and tfds: to 1 (grey) or 3 (RGB) channels; 0 keeps theirs
    c.data.test = 0.2  # share of each class cut off as test where the source has none
    c.data.valid = 0.1  # share of each class of train cut off as valid where the source has none
    c.data.split_seed = 0  # which examples those are; apart from seed, so that seeds share a test split
    c.data.device_bytes = 2 * 1024**3  # a larger train split streams from the host in blocks

    c.encoder = ConfigDict()
    c.encoder.name = "mlp"  # a class <Name>Encoder of aejax/nets.py
    c.encoder.widths = ()  # units of the hidden layers below the code
    c.encoder.activation = "relu"  # of the hidden layers: a function of jax.nn, or linear
    c.encoder.kernel_init = "glorot_uniform"  # an initialiser of jax.nn.initializers
    c.encoder.init_std = 0.01  # standard deviation, for kernel_init normal and truncated_normal
    c.encoder.bias_init = 0.0  # constant that every bias starts from

    c.decoder = ConfigDict()
    c.decoder.name = "mlp"  # a class <Name>Decoder of aejax/nets.py; tied is the encoder's adjoint
    c.decoder.widths = ()  # units of the hidden layers above the code
    c.decoder.activation = "relu"
    c.decoder.kernel_init = "glorot_uniform"
    c.decoder.init_std = 0.01
    c.decoder.bias_init = 0.0

    c.code = ConfigDict()
    c.code.name = "deterministic"  # a class of aejax/codes.py
    c.code.size = 32  # units of the code
    c.code.activation = "relu"  # of the code units
    c.code.rate = 0.05  # lifetime: share of the global batch that each unit keeps (argument)

    c.corruption = ConfigDict()
    c.corruption.name = "none"  # a function of aejax/corruptions.py
    c.corruption.std = 0.2  # gaussian: standard deviation, in units of the prepared input (argument)

    c.loss = ConfigDict()
    c.loss.likelihood = "bernoulli"  # bernoulli, squared_error, gaussian, learned_gaussian
    c.loss.std = 1.0  # gaussian: the given standard deviation of a pixel (argument)
    c.loss.l1 = 0.0  # weight of the penalty sum_j |z_j| (argument; whether it is 0 is not)

    c.optim = ConfigDict()
    c.optim.name = "adam"  # an optimiser of optax that takes a learning_rate
    c.optim.learning_rate = 1e-3  # the peak of the schedule (argument)
    c.optim.b1 = 0.9  # decay of the first moment (argument); this and the next two are Adam's, for every optimiser
    c.optim.b2 = 0.999  # decay of the second moment (argument)
    c.optim.eps = 1e-8  # added to the root of the second moment; Keras has 1e-7 (argument)
    c.optim.momentum = 0.0  # of sgd, rmsprop, lars, sm3; 0 is none
    c.optim.weight_decay = 0.0  # adamw and its kin: decoupled; the others: added to the gradient (argument)
    c.optim.clip_norm = 0.0  # largest global norm of the gradient; 0 does not clip
    c.optim.schedule = "constant"  # a function of aejax/optim.py: constant, cosine, linear, step
    c.optim.warmup = 0.0  # share of all steps over which the rate first rises from 0
    c.optim.final = 0.0  # cosine, linear: the rate at the end over the rate at the peak
    c.optim.milestones = (0.5, 0.75)  # step: shares of all steps after which the rate is multiplied
    c.optim.factor = 0.1  # step: by this

    c.train = ConfigDict()
    c.train.batch_size = 100  # examples a step, over all devices together
    c.train.epochs = 10  # passes over train; the examples that do not fill a batch wait for another epoch
    c.train.steps_per_call = 0  # steps run by one call of the compiled program; 0: about a second's worth
    c.train.early_stopping = 0  # evaluations of valid without a better loss before the run stops; 0: never

    c.eval = ConfigDict()
    c.eval.epochs = 1  # evaluate valid after every so many epochs
    c.eval.batch_size = 1000  # examples a step of an evaluation

    c.log = ConfigDict()
    c.log.tensorboard = True  # write event files
    c.log.figure_epochs = (0, 1, 2, 5, 10, 20, 50, 100)  # draw reconstructions after these and the last; () never
    c.log.figure_images = 10  # so many

    c.checkpoint = ConfigDict()
    c.checkpoint.seconds = 60.0  # save when so many have passed, within an epoch too; 0: after every call
    c.checkpoint.keep = 2  # how many of the newest to keep
    c.checkpoint.best = True  # keep, in each, the weights with the best valid loss so far

    c.mesh = ConfigDict()
    c.mesh.devices = 0  # how many devices to use; 0: all that this process sees
    return c


def preset(config: ConfigDict, name: str | None, presets: Mapping[str, Callable[[ConfigDict], None]]) -> ConfigDict:
    """The config with the named preset applied, locked; no name, no change.

    A preset stands behind a colon: ``--config=configs/wta.py:tiny``.

    Raises:
      ValueError: there is no preset of that name.
    """
    if name:
        if name not in presets:
            raise ValueError(f"{config.name}: no preset {name!r}; accepted: {', '.join(sorted(presets))}")
        presets[name](config)
        config.name = f"{config.name}_{name}"
    return config.lock()
