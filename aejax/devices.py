"""One mesh, and where arrays lie on it: parameters and data on every device, a batch split over them."""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from aejax import compilation
from aejax.errors import UserError


def mesh(count: int) -> Mesh:
    """A mesh with one axis, ``data``, over the first ``count`` devices; 0 takes all. It settles how JAX compiles.

    Raises:
      UserError: there are not so many.
    """
    compilation.settle()
    devices = jax.devices()
    if not 0 <= count <= len(devices):
        raise UserError(f"config.mesh.devices={count} but {len(devices)} are here; accepted: 0 (all) to {len(devices)}")
    return Mesh(np.asarray(devices[: count or len(devices)]), ("data",))


def replicated(mesh: Mesh) -> NamedSharding:
    """On every device, whole."""
    return NamedSharding(mesh, P())


def batched(mesh: Mesh) -> NamedSharding:
    """Split along the first axis."""
    return NamedSharding(mesh, P("data"))


def padded(examples: int, mesh: Mesh) -> int:
    """The smallest multiple of the device count that holds so many examples."""
    return -(-examples // mesh.size) * mesh.size
