"""A worker that trains a described net with pythae (Chadebec et al., arXiv 2206.08309) and its own trainer.

As its users run it: its model, with an encoder and a decoder of theirs, or its default ones where
the described net is those; its trainer with its DataLoader, its progress bar and its defaults but for
batch, rate and Adam's numbers. Timed around ``train_step``, its pass over a loader. Only what its
models VAE, IWAE, VQVAE, WAE_MMD and RAE_L2 can express is trained; the rest is refused.
"""

import importlib.metadata
import math
import tempfile
import time
from typing import Any, NamedTuple

import numpy as np
import protocol
import pytorch_nets
import torch
from pythae import models, trainers
from pythae.data.datasets import DatasetOutput
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pytorch_training import memory
from torch.nn import functional as F
from torch.utils.data import Dataset, Subset

HIDDEN = 512  # units of the hidden layer of pythae's own encoder and decoder
SQUEEZES = {"bernoulli": torch.sigmoid, "squared_error": lambda output: output}  # the decoder's output as a picture


class Images(Dataset):
    """Images [c, h, w] in [0, 1], as float32 from the start; binarised anew whenever one is read, where asked for."""

    def __init__(self, raw, binarised):
        self.data = torch.from_numpy(raw).permute(0, 3, 1, 2).float().contiguous()
        if raw.dtype == np.uint8:
            self.data /= 255
        self.binarised = binarised

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        x = self.data[index]
        return DatasetOutput(data=(torch.rand_like(x) < x).float() if self.binarised else x)


class Encoder(BaseEncoder):
    """The described encoder; of an encoder of Gaussians, the halves of its features are mean and log σ."""

    def __init__(self, stack, flat, gaussian):
        super().__init__()
        self.stack, self.flat, self.gaussian = stack, flat, gaussian

    def forward(self, x):
        h = self.stack(x.flatten(1) if self.flat else x)
        if not self.gaussian:
            return ModelOutput(embedding=h)
        mean, log_std = h.chunk(2, 1)
        return ModelOutput(embedding=mean, log_covariance=2 * log_std)


class Decoder(BaseDecoder):
    """The described decoder, to pictures."""

    def __init__(self, stack, shape, squeeze):
        super().__init__()
        self.stack, self.shape, self.squeeze = stack, shape, squeeze

    def forward(self, z):
        return ModelOutput(reconstruction=self.squeeze(self.stack(z)).reshape(len(z), *self.shape))


class BernoulliVQVAE(models.VQVAE):
    """Its VQVAE, whose reconstruction is the squared error, with the cross-entropy in place of that."""

    def loss_function(self, recon_x, x, quantizer_output):
        terms = F.binary_cross_entropy(recon_x.flatten(1), x.flatten(1), reduction="none").sum(1)
        return (terms + quantizer_output.loss).mean(), terms.mean(), quantizer_output.loss


class Plan(NamedTuple):
    """How pythae trains a net.

    Attributes:
      model: its class.
      config: of that model.
      numbers: what the config is given beside the sizes.
      likelihood: the one that the model's loss is.
      penalties: the weights of the described net that the plan covers; another is refused.
      gaussian: whether the encoder gives mean and standard deviation.
      decay: weight decay of the decoder; None for a trainer of one optimiser.
      how: where its objective is not the described one.
    """

    model: type
    config: type
    numbers: dict[str, Any]
    likelihood: str
    penalties: dict[str, float | None]
    gaussian: bool = False
    decay: float | None = None
    how: str = ""


def variational(net):
    """VAE, of one sample and β 1."""
    if net["code"]["samples"] != 1 or net["code"]["free_bits"]:
        raise protocol.Refused("code.samples and code.free_bits are not written for its VAE")
    return Plan(models.VAE, models.VAEConfig, {"reconstruction_loss": "bce"}, "bernoulli", {"kl": 1.0}, gaussian=True)


def importance_weighted(net):
    """IWAE: its gradient is the bound's, and the loss that it tells another number."""
    numbers = {"reconstruction_loss": "bce", "number_samples": net["code"]["samples"]}
    how = "its loss is the mean of the samples by weight, not the bound"
    return Plan(models.IWAE, models.IWAEConfig, numbers, "bernoulli", {"kl": 1.0}, gaussian=True, how=how)


def vector_quantised(net):
    """VQVAE with moving averages, but without restarts; its commitment is a mean over units and places, ours a sum."""
    code = net["code"]
    places = math.prod(net["decoder"][0].get("size_in", ()))
    numbers = {"num_embeddings": code["entries"], "use_ema": True, "decay": code["decay"]}
    numbers["commitment_loss_factor"] = net["penalties"]["commitment"]["weight"] * places * code["size"]
    how = "cross-entropy by overriding loss_function, no restarts"
    return Plan(BernoulliVQVAE, models.VQVAEConfig, numbers, "bernoulli", {"commitment": None}, how=how)


def discrepant(net):
    """WAE_MMD with inverse multiquadratics at its default scales, which are the described ones."""
    weight = net["penalties"]["mmd_imq"]["weight"]
    return Plan(models.WAE_MMD, models.WAE_MMD_Config, {"reg_weight": weight}, "squared_error", {"mmd_imq": None})


def regularised(net):
    """RAE_L2, whose trainer decays the decoder's weights, biases among them."""
    numbers = {name: net["penalties"][name]["weight"] for name in ("l2", "decoder_weight_decay")}
    covered = dict.fromkeys(numbers)
    plan = Plan(models.RAE_L2, models.RAE_L2_Config, {"embedding_weight": numbers["l2"]}, "squared_error", covered)
    how = "CoupledOptimizerTrainer"
    return plan._replace(decay=numbers["decoder_weight_decay"], how=how)


PLANS = {  # by code and penalties
    ("variational", "kl"): variational,
    ("importance_weighted", "kl"): importance_weighted,
    ("vector_quantised", "commitment"): vector_quantised,
    ("deterministic", "mmd_imq"): discrepant,
    ("deterministic", "decoder_weight_decay", "l2"): regularised,
}


def planned(net):
    """The plan for a net.

    Raises:
      Refused: pythae has no model for it.
    """
    if net["model"] != "autoencoder" or net["precision"] != "float32":
        raise protocol.Refused(f"model={net['model']!r} in {net['precision']} is not written for it")
    if net["prepare"]["whiten"] != "none" or net["corruption"]["name"] != "none":
        raise protocol.Refused("data.whiten and corruptions are not written for it")
    code = net["code"]
    kind = (code["name"], *sorted(net["penalties"]))
    plan = protocol.pick(PLANS, "code with penalties", kind)(net)
    if code.get("activation", "linear") != "linear" or net["likelihood"]["name"] != plan.likelihood:
        raise protocol.Refused(f"{plan.model.__name__} is not written for {net['likelihood']['name']} on such a code")
    for name, weight in plan.penalties.items():
        if weight is not None and net["penalties"][name]["weight"] != weight:
            raise protocol.Refused(f"loss.{name} other than {weight} is not written for {plan.model.__name__}")
    return plan


def is_default(net):
    """Whether the net is pythae's own: one hidden layer of 512 rectified units on either side."""
    kinds = [layer["kind"] for layer in net["encoder"] + net["decoder"]]
    sizes = [layer["outputs"] for layer in net["encoder"] + net["decoder"] if layer["kind"] == "dense"]
    acts = [layer["name"] for layer in net["encoder"] + net["decoder"] if layer["kind"] == "activation"]
    vectors = kinds == ["flatten", *["dense", "activation", "dense"] * 2, "reshape"]
    return vectors and [sizes[0], sizes[2]] == [HIDDEN] * 2 and acts == ["relu"] * 2


class Training:
    """A net in training."""

    def prepare(self, net, images, labels, mean, threads, device):
        """Build it and take the first step."""
        torch.set_num_threads(threads)
        torch.manual_seed(net["seed"])
        plan = planned(net)
        self.data = Images(np.load(images), net["prepare"]["binarise"] == "dynamic")
        self.batch, self.place, self.epoch, self.decay = net["batch"], 0, 0, plan.decay or 0.0
        model, own = self.model(net, plan)
        self.output = tempfile.TemporaryDirectory(prefix="aejax-bench-")
        made, config = self.trainer(net, plan, device)
        self.trainer = made(model, self.data, training_config=config)
        self.trainer.prepare_training()
        self.train(1)
        how = "its trainer" + (", its default encoder and decoder" if not own else "")
        return {
            "versions": {"pythae": importlib.metadata.version("pythae"), "torch": torch.__version__},
            "how": "; ".join(filter(None, (how, plan.how))),
            "parameters": sum(p.numel() for p in model.parameters()),
            **memory(self.trainer.device),
        }

    def model(self, net, plan):
        """The model, and whether its encoder and decoder are other than its own."""
        h, w, c = net["shape"]
        config = plan.config(input_dim=(c, h, w), latent_dim=net["code"]["size"], **plan.numbers)
        if plan.gaussian and is_default(net):
            return plan.model(config), False
        into, out = pytorch_nets.stacks(net)
        squeeze = SQUEEZES[plan.likelihood]
        encoder = Encoder(into, pytorch_nets.on_vectors(net), plan.gaussian)
        return plan.model(config, encoder=encoder, decoder=Decoder(out, (c, h, w), squeeze)), True

    def trainer(self, net, plan, device):
        """The trainer's class and its config."""
        adam = net["optim"]
        numbers = {"betas": (adam["b1"], adam["b2"]), "eps": adam["eps"]}
        given = {
            "output_dir": self.output.name, "per_device_train_batch_size": net["batch"], "seed": net["seed"],
            "no_cuda": device == "cpu",
        }  # fmt: skip
        rate = adam["learning_rate"]
        if plan.decay is None:
            config = trainers.BaseTrainerConfig(**given, learning_rate=rate, optimizer_params=numbers)
            return trainers.BaseTrainer, config
        rates = {"encoder_learning_rate": rate, "decoder_learning_rate": rate}
        decayed = {**numbers, "weight_decay": plan.decay}
        parts = {"encoder_optimizer_params": numbers, "decoder_optimizer_params": decayed}
        return trainers.CoupledOptimizerTrainer, trainers.CoupledOptimizerTrainerConfig(**given, **rates, **parts)

    def train(self, steps):
        """Take steps, as passes over so many images: their seconds, and the mean of their losses."""
        most, trainer = len(self.data) // self.batch, self.trainer
        seconds = total = 0.0
        left = steps
        while left:
            self.place = self.place if self.place < most else 0
            count = min(left, most - self.place)
            rows = range(self.place * self.batch, (self.place + count) * self.batch)
            trainer.train_loader = trainer.get_train_dataloader(Subset(self.data, rows))
            self.epoch += 1
            began = time.perf_counter()
            loss = trainer.train_step(self.epoch)
            seconds += time.perf_counter() - began
            trainer.callback_handler.on_epoch_end(training_config=trainer.training_config)
            # the coupled trainer tells the sum of the encoder's and the decoder's loss, then each
            total += count * (loss[1] if isinstance(loss, tuple) else loss)
            self.place, left = self.place + count, left - count
        return {"seconds": seconds, "loss": total / steps + self.decayed(), **memory(trainer.device)}

    def decayed(self):
        """What the decoder's decay, which the optimiser sees to, adds to the loss."""
        with torch.no_grad():
            return sum(0.5 * self.decay * float(p.square().sum()) for p in self.trainer.model.decoder.parameters())


if __name__ == "__main__":
    training = Training()
    protocol.serve({"prepare": training.prepare, "train": training.train})
