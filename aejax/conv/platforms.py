"""Functions that each platform computes in its own way, chosen when a program is compiled for it.

They are primitives of JAX, whose derivatives are again such functions: no derivative of a way's inner loops is
ever taken, and forward and reverse differentiation work to any order.
"""

from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from aejax.conv.geometry import first, last


def primitive(name: str, native: Callable, on_cpu: Callable) -> Primitive:
    """A primitive ``bind(*arrays, **static)`` that ``on_cpu(*arrays, **static)`` computes on the CPU, else ``native``.

    Its result has the type of the first array.
    """
    made = Primitive(name)

    def shape(a, *rest, **static):
        like = (jax.ShapeDtypeStruct(v.shape, v.dtype) for v in (a, *rest))
        return a.update(shape=jax.eval_shape(partial(native, **static), *like).shape)

    compiled = cache(lambda **static: jax.jit(partial(made.bind, **static)))
    made.def_impl(lambda *arrays, **static: compiled(**static)(*arrays))
    made.def_abstract_eval(shape)
    mlir.register_lowering(made, mlir.lower_fun(native, multiple_results=False))
    mlir.register_lowering(made, mlir.lower_fun(on_cpu, multiple_results=False), platform="cpu")
    return made


def of_maps(name: str, function: Callable) -> Primitive:
    """``function(x, **static)`` of maps, done on the CPU with the examples last.

    It must be indifferent to which of the outer axes has the examples and which the channels: [., h, w, .].
    """
    made = primitive(name, function, lambda x, **static: first(function(last(x), **static)))

    def rule(operands, members, **static):
        x = jnp.moveaxis(operands[0], members[0], 0)
        y = made.bind(lax.collapse(x, 0, 2), **static)
        return y.reshape(*x.shape[:2], *y.shape[1:]), 0

    batching.primitive_batchers[made] = rule
    return made


def linear_pair(there: Primitive, back: Primitive) -> None:
    """Two linear primitives of one array and with the same static arguments are each other's adjoint."""
    ad.deflinear2(there, lambda ct, _, **static: [back.bind(ct, **static)])
    ad.deflinear2(back, lambda ct, _, **static: [there.bind(ct, **static)])


def merge_members(made: Primitive, native: Callable, axes: tuple[int, int], out: tuple[int, int]) -> None:
    """Give a primitive of two arrays its rule for a member axis: one wide call where one has it, else a call a member.

    Args:
      axes: with which axis of the first and of the second array the members are merged, where that one alone has them.
      out: in which axis of the result they then are.
    """

    def each(a, b, **static):
        one_by_one = partial(lax.map, lambda pair: made.bind(*pair, **static))
        ways = {"cpu": lambda a, b: one_by_one((a, b)), "default": jax.vmap(partial(native, **static))}
        return lax.platform_dependent(a, b, **ways), 0

    def rule(operands, members, **static):
        if None not in members:
            return each(*(jnp.moveaxis(v, m, 0) for v, m in zip(operands, members, strict=True)), **static)
        which = int(members[0] is None)
        wide, axis, at = list(operands), axes[which], out[which]
        x = jnp.moveaxis(operands[which], members[which], axis)
        wide[which] = lax.collapse(x, axis, axis + 2)
        y = made.bind(*wide, **static)
        return y.reshape(*y.shape[:at], x.shape[axis], -1, *y.shape[at + 1 :]), at

    batching.primitive_batchers[made] = rule
