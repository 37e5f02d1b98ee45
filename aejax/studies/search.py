"""What ``--search`` says of the keys to try: ``aejax.sweep.values`` of each.

    --search='code.size={16,32,64},corruption.std=0.1:0.5,optim.learning_rate=log:1e-4:1e-2'
"""

from collections.abc import Mapping

from aejax import main
from aejax.errors import UserError
from aejax.sweep import values
from aejax.sweep.values import Space


def parse(text: str, config: Mapping) -> list[Space]:
    """The values to try of each key.

    Raises:
      UserError: there is no such key, it comes twice, or what follows it is not understood.
    """
    spaces: list[Space] = []
    for part in values.parts(text):
        key, equals, spec = (piece.strip() for piece in part.partition("="))
        if not equals or not spec:
            raise UserError(f"--search: {part!r} is no KEY=VALUES; {values.ACCEPTED}")
        main.kind(config, key)
        if key in [space.key for space in spaces]:
            raise UserError(f"--search: {key} comes twice; accepted: once")
        read = values.choices if spec.startswith("{") else values.interval
        spaces.append(read(key, spec, config, "--search"))
    if not spaces:
        raise UserError(f"--search='KEY=VALUES,KEY=VALUES' is missing; {values.ACCEPTED}")
    return spaces
