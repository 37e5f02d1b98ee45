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
    c.model = "autoencoder"  # autoencoder, or classifier: the encoder with a dense head in place of its last layer
    c.precision = "float32"  # what nets compute in: float32 on every platform (TF32, on GPUs, only where the variable
    # JAX_DEFAULT_MATMUL_PRECISION asks for it), or bfloat16; parameters, codes, losses and optimiser stay float32
    c.seed = 0  # initial weights, order of the batches, noise (argument)

    c.data = ConfigDict()
    c.data.name = "mnist5k"  # a set of aejax/data: mnist5k, digits, mnist, ..., npz:, folder:, arrayrecord:, ...
    c.data.dir = ""  # folder searched first for the files of a canonical set
    c.data.size = 0  # folder, tfds, arrayrecord: resize images to this height and width in pixels; 0 keeps theirs
    c.data.channels = 0  # folder, tfds, arrayrecord: convert images to 1 (grey) or 3 (RGB) channels; 0 keeps theirs
    c.data.test = 0.2  # share of each class cut off as test where the source has none
    c.data.valid = 0.1  # share of each class of train cut off as valid where the source has none
    c.data.split_seed = 0  # which examples those are; apart from seed, so that seeds share a test split
    c.data.labels = 0  # keep only so many labelled training examples, as equal a number a class as can be; 0: all
    c.data.labels_seed = 0  # which examples those are
    c.data.folds = 0  # k: cross-validation, train and valid together cut by class into k parts; 0: valid as above
    c.data.fold = 0  # which of the parts is valid, from 0; the others are train
    c.data.resample = 0  # n > 0: train is a bootstrap sample of itself, of the same size, drawn by seed n; 0: all of it
    c.data.whiten = "none"  # a function of aejax/data/whitening.py: none, centred, standard, contrast, zca
    c.data.zca_epsilon = 0.1  # added to the eigenvalues of the covariance
    c.data.binarise = "none"  # a function of aejax/data/binarisation.py: none, threshold, fixed, dynamic
    c.data.rate = 8000  # audio: samples a second that recordings are brought to
    c.data.seconds = 1.0  # audio: length that recordings are cut or padded to
    c.data.features = "log_mel"  # audio: log_mel or frames (the raw samples)
    c.data.mels = 32  # audio: log_mel bands
    c.data.words = 2000  # text: the most frequent words of train that are counted
    c.data.weighting = "counts"  # text: counts or tfidf
    c.data.host_bytes = 4 * 1024**3  # folder, tfds, arrayrecord: images that take more are not kept in memory, but read
    # batch by batch, and as many batches wait to be trained on as fit in this, 16 at most and 2 at least
    c.data.device_bytes = 2 * 1024**3  # a larger train split streams from the host in blocks

    c.encoder = ConfigDict()
    c.encoder.name = "mlp"  # a class <Name>Encoder of aejax/nets
    c.encoder.widths = ()  # units of the hidden layers below the code; of conv and allconv: filters of each layer
    c.encoder.activation = "relu"  # of the hidden layers: a function of jax.nn, or linear
    c.encoder.kernel_init = "glorot_uniform"  # an initialiser of jax.nn.initializers
    c.encoder.init_std = 0.01  # standard deviation, for kernel_init normal and truncated_normal
    c.encoder.bias_init = 0.0  # constant that every bias starts from

    c.encoder.norm = "none"  # of the hidden layers: none, batch, layer
    c.encoder.dropout = 0.0  # share of the hidden units dropped
    c.encoder.kernel = (3, 3)  # conv, allconv: height and width of the filters; (1, k) convolves sound
    c.encoder.factor = 2  # conv, allconv: by how much each layer shrinks height and width; 1 keeps them
    c.encoder.resample = "stride"  # conv, allconv: how: stride, max_pool, average_pool
    c.encoder.dense = ()  # conv: units of the dense layers between the last maps and the code
    c.encoder.map = ()  # allconv: height and width of the code's maps, at which shrinking stops; (): where it ends

    c.decoder = ConfigDict()
    c.decoder.name = "mlp"  # a class <Name>Decoder of aejax/nets; tied is the encoder's adjoint
    c.decoder.widths = ()  # units of the hidden layers above the code
    c.decoder.activation = "relu"
    c.decoder.kernel_init = "glorot_uniform"
    c.decoder.init_std = 0.01
    c.decoder.bias_init = 0.0
    c.decoder.norm = "none"
    c.decoder.dropout = 0.0
    c.decoder.kernel = (3, 3)
    c.decoder.factor = 2  # conv, allconv: by how much each layer grows height and width
    c.decoder.resample = "transpose"  # conv, allconv: how: transpose, nearest, bilinear
    c.decoder.dense = ()  # conv: units of the dense layers between the code and the first maps

    c.code = ConfigDict()
    c.code.name = "deterministic"  # a class of aejax/codes
    c.code.size = 32  # units of the code
    c.code.activation = "relu"  # of the code units
    c.code.rate = 0.05  # lifetime, spatial: share of the global batch that each unit keeps (argument)
    c.code.k = 25  # k_sparse, top_k, batch_top_k: active units an example (argument)
    c.code.k_start = 0  # k_sparse: k at the first step, falling to k; 0: no annealing (argument)
    c.code.k_share = 0.5  # k_sparse: share of all steps over which it falls (argument)
    c.code.alpha = 1.0  # k_sparse: encodes with the top alpha · k (argument)
    c.code.dead_after = 10000  # top_k, batch_top_k: a unit is dead that was silent for so many examples (argument)
    c.code.threshold = 0.03  # jump_relu: the threshold that every unit starts from
    c.code.bandwidth = 0.03  # jump_relu: width of the kernel that estimates the threshold's gradient (argument)
    c.code.std = 0.3  # gaussian_noise, learned_noise (at first), hashing: of the units' noise (argument)
    c.code.fixed = True  # hashing: an example's noise stays the same throughout training, as in the paper
    c.code.temperature = 0.5  # gumbel_sigmoid: of the relaxed Bernoulli units (argument)
    c.code.samples = 1  # variational: samples a loss; importance_weighted: K of the bound
    c.code.free_bits = 0.0  # variational: nats of KL a unit that cost nothing, over the batch's mean (argument)
    c.code.entries = 256  # vector_quantised: vectors in the codebook
    c.code.decay = 0.99  # vector_quantised, batch_top_k: of moving averages (codebook, threshold) (argument)
    c.code.restart = 0.01  # vector_quantised: entries used by less than this share of a uniform one restart (argument)

    c.corruption = ConfigDict()
    c.corruption.name = "none"  # a function of aejax/corruptions.py
    c.corruption.std = 0.2  # gaussian, clipped_gaussian: standard deviation, in units of the input (argument)
    c.corruption.rate = 0.25  # masking, salt_and_pepper: share of the pixels (argument)
    c.corruption.low = 0.0  # clipped_gaussian: clip to [low, high]; salt_and_pepper: set to low or high (argument)
    c.corruption.high = 1.0  # (argument)
    c.corruption.emphasis = 1.0  # weight in the loss of the corrupted pixels, Vincent's alpha (argument)
    c.corruption.rest = 1.0  # weight of the others, his beta (argument; whether both are 1 is not)

    c.loss = ConfigDict()
    c.loss.likelihood = "bernoulli"  # a module of aejax/losses.py: squared_error, gaussian, poisson, multinomial, ...
    c.loss.std = 1.0  # gaussian, laplace: the given standard deviation of a pixel (argument)
    c.loss.warmup = 0.0  # share of all steps over which the weights of all penalties rise from 0 (argument)
    # Weights of the penalties (arguments; whether one is 0 is not). First those that codes report themselves:
    c.loss.kl = 1.0  # variational, importance_weighted: of the KL divergence, beta
    c.loss.commitment = 0.25  # vector_quantised: of the distance to the entry
    # then those of aejax/penalties, which go with any code that has what they ask for:
    c.loss.l1 = 0.0  # sum_j |z_j|
    c.loss.l2 = 0.0  # sum_j z_j^2 / 2
    c.loss.l0 = 0.0  # jump_relu: number of active units
    c.loss.gate_l1 = 0.0  # gated: sum_j relu(gate_j)
    c.loss.gate_auxiliary = 0.0  # gated: of the gate's own reconstruction
    c.loss.kl_sparsity = 0.0  # units in [0, 1]: sum_j KL(sparsity || mean activity of unit j over the global batch)
    c.loss.sparsity = 0.05  # kl_sparsity: the mean activity aimed at (argument)
    c.loss.weight_decay = 0.0  # half the squared norm of all kernels
    c.loss.decoder_weight_decay = 0.0  # half the squared norm of the decoder's kernels
    c.loss.orthogonality = 0.0  # ||W^T W - I||^2 of the encoder's kernels
    c.loss.contractive = 0.0  # squared Frobenius norm of the encoder's Jacobian, exact
    c.loss.contractive_hutchinson = 0.0  # the same, estimated with random probes
    c.loss.probes = 1  # contractive_hutchinson, contractive_change, decoder_gradient: how many
    c.loss.contractive_change = 0.0  # CAE+H: squared change of the Jacobian under small noise
    c.loss.noise = 0.1  # contractive_change: standard deviation of that noise (argument)
    c.loss.decoder_gradient = 0.0  # squared Frobenius norm of the decoder's Jacobian, estimated with a random probe
    c.loss.mmd_rbf = 0.0  # maximum mean discrepancy from the prior, Gaussian kernel
    c.loss.mmd_imq = 0.0  # the same, inverse multiquadratics kernel
    c.loss.total_correlation = 0.0  # beta-TCVAE: this much beyond the one of the KL
    c.loss.aux_k = 0.0  # top_k, batch_top_k: of dead units' reconstruction of the residual
    c.loss.aux_units = 64  # aux_k: dead units that take part for each example

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

    c.optim.freeze = ()  # parts that do not learn: encoder, decoder, ..., or a layer such as encoder/layers_0
    c.optim.encoder_rate = 1.0  # the encoder's rate over that of the rest (argument; whether it is 1 is not)

    c.classifier = ConfigDict()
    c.classifier.on = "hidden"  # what the head reads: the encoder's last hidden layer, or its code

    c.start = ConfigDict()
    c.start.workdir = ""  # a run whose weights this one starts from
    c.start.parts = ("encoder", "code", "decoder", "likelihood")  # which; layers that both runs have, by name and shape

    c.greedy = ConfigDict()
    c.greedy.epochs = 0  # train a stack layer by layer first, each for so many epochs; 0: at once
    c.greedy.likelihood = "bernoulli"  # of the layers above the first, whose input are codes

    c.train = ConfigDict()
    c.train.batch_size = 100  # examples a step, over all devices together
    c.train.micro_batches = 1  # parts that a batch is computed in, in turn, where its activations take too much memory
    c.train.remat = False  # encoder and decoder forget their activations, and compute them again to differentiate; for
    # accelerators: XLA on a CPU undoes it
    c.train.epochs = 10  # passes over train; the examples that do not fill a batch wait for another epoch. 0: a stack
    # of greedy.epochs stays as its layers made it
    c.train.steps_per_call = 0  # steps run by one call of the compiled program; 0: about a second's worth
    c.train.early_stopping = 0  # evaluations of valid without a better loss before the run stops; 0: never

    c.eval = ConfigDict()
    c.eval.epochs = 1  # evaluate valid after every so many epochs
    c.eval.test = False  # test too, for its curve; no choice is ever made on it. Else once, at the end
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
    c.mesh.devices = 0  # how many devices to use; 0: all that there are, of all processes
    c.mesh.model = 1  # how many of them share a code's units, for a code too wide for one; the others share the batch

    c.sweep = ConfigDict()  # many models in one run: values of any keys, as text: --config.sweep.seed=0,1,2,3,4
    c.sweep.combine = "grid"  # how: grid (every combination), zipped (in step), random; each with every seed
    c.sweep.draws = 10  # random: how many settings
    c.sweep.draw = 0  # random: which ones, as a seed
    c.sweep.placement = ""  # side_by_side (a core each), stacked (one wide program); "": what the platform runs fastest
    c.sweep.at_once = 0  # members that train together; 0: as many as there are cores, or as memory has room for
    c.sweep.update({name: _values(value) for name, value in c.items() if name not in NOT_SWEPT})
    return c


# Keys that say where and how a run computes and what it writes: the same for all members of a sweep.
NOT_SWEPT = ("name", "eval", "log", "checkpoint", "mesh", "sweep")
NOT_SWEPT_BELOW = ("dir", "host_bytes", "device_bytes", "steps_per_call")


def _values(value):
    """A place for a key's values in a sweep, as text: "0,1,2", "log:1e-4:1e-2" (``aejax/sweep/values.py``)."""
    if not isinstance(value, ConfigDict):
        return ""
    return ConfigDict({key: _values(below) for key, below in value.items() if key not in NOT_SWEPT_BELOW})


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
