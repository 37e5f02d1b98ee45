"""One mesh, and where arrays lie on it.

Its axis ``data`` splits a batch; its axis ``model`` splits the units of a code too wide for one device, and with them
the parameters, and the optimiser's moments, that have one entry a unit. All else is on every device. Where an array
lies changes no result but for the order of sums.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from aejax import compilation
from aejax.errors import UserError

DATA, MODEL = "data", "model"


def mesh(count: int, model: int = 1) -> Mesh:
    """A mesh [count / model, model] over the first ``count`` devices; 0 takes all. It settles how JAX compiles.

    Where several processes make one run the devices are those of all, or for ``count=1`` the first of this process.

    Raises:
      UserError: there are not so many, or they cannot be divided so.
    """
    compilation.settle()
    several = jax.process_count() > 1
    devices = jax.local_devices() if several and count == 1 else sorted(jax.devices(), key=lambda d: d.process_index)
    if not 0 <= count <= len(devices) or several and count > 1:
        accepted = "0 (all)" if several else f"0 (all) to {len(devices)}"
        raise UserError(f"config.mesh.devices={count} but {len(devices)} are here; accepted: {accepted}")
    count = count or len(devices)
    if count % model:
        divisors = ", ".join(str(n) for n in range(1, count + 1) if count % n == 0)
        raise UserError(f"config.mesh.model={model} does not divide {count} devices; accepted: {divisors}")
    return Mesh(np.asarray(devices[:count]).reshape(-1, model), (DATA, MODEL))


def replicated(mesh: Mesh) -> NamedSharding:
    """On every device, whole."""
    return NamedSharding(mesh, P())


def batched(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Split between the devices along one axis, that of a batch's examples."""
    return NamedSharding(mesh, P(*(None,) * axis, mesh.axis_names[0]))


def places(mesh: Mesh, units: int, tree: Callable[[], Any]) -> Any:
    """Where the arrays of a model with so many code units lie: a sharding for all, or a tree of them.

    An array with an axis of that length is split along it (the last, if several are): kernels into and out of the code,
    its biases and counts, their moments.

    Args:
      mesh: of the devices.
      units: of the code.
      tree: makes the shapes; called where it matters alone.
    """
    if mesh.shape.get(MODEL, 1) == 1:
        return replicated(mesh)

    def place(array: Any) -> NamedSharding:
        axes = [axis for axis, length in enumerate(array.shape) if length == units]
        return NamedSharding(mesh, P(*(None,) * axes[-1], MODEL)) if axes else replicated(mesh)

    return jax.tree.map(place, tree())


def put(tree: Any, sharding: Any) -> Any:
    """Host arrays that every process has alike -> arrays on the devices, of which each process puts its own part.

    Args:
      tree: of NumPy arrays or numbers.
      sharding: of all, or a tree of them.
    """
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)
    spread = sharding if not isinstance(sharding, NamedSharding) else jax.tree.map(lambda _: sharding, tree)
    return jax.tree.map(_put, tree, spread)


def _put(array: Any, sharding: NamedSharding) -> jax.Array:
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        return jax.device_put(array, sharding)
    host = np.asarray(array)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def padded(examples: int, mesh: Mesh) -> int:
    """The smallest multiple of the number of parts of a batch that holds so many examples."""
    parts = mesh.devices.shape[0]
    return -(-examples // parts) * parts


def own_rows(rows: int, mesh: Mesh) -> slice:
    """Which of a batch's rows, a multiple of the parts of a batch, lie on devices of this process."""
    here = batched(mesh).addressable_devices_indices_map((rows,)).values()
    spans = [index[0].indices(rows) for index in here]
    return slice(min(first for first, _, _ in spans), max(stop for _, stop, _ in spans))
