"""``--config.sweep.KEY=VALUES``: train every member of a config's sweep, in one workdir.

    runs/shallow_over_seed/
      config.json     with the section ``sweep``
      metrics.jsonl   the lines of all members, each with its number and settings
      members/0/ …    a member each: the folder of a run, to be loaded, analysed and started from like any other
      stacks/         checkpoints of members that train in one program
      sweep.csv  sweep.png  sweep.json   what came of it
"""

import sys
from functools import partial
from pathlib import Path

from ml_collections import FrozenConfigDict

from aejax import checks, workdirs
from aejax.errors import Diverged
from aejax.sweep import members, together
from aejax.sweep.metrics import Merged


def default_name(config: FrozenConfigDict) -> str:
    """What a sweep's workdir is called: ``shallow_over_code.size+seed``."""
    return f"{config['name']}_over_{'+'.join(members.specified(config))}"


def run(config: FrozenConfigDict, workdir: Path | str) -> int:
    """Train the members that are not at their end: 0 when all are, 128 + n when stopped by signal n.

    Raises:
      UserError: a mistake in the config, the data or the workdir; every member's loss ceased to be finite.
    """
    config = FrozenConfigDict(config)
    checks.check(config)
    every = members.members(config, Path(workdir))
    section = config.sweep
    together.check(every, section.placement, section.at_once)
    with workdirs.opened(Path(workdir), config) as folder:
        merged = Merged(folder, {member.number: member.settings for member in every})
        begin = partial(workdirs.write_config, folder, config)
        if status := together.train(every, folder, section.placement, section.at_once, merged=merged, begin=begin):
            print("stopped; the same command goes on from there")
            return status
    tell(Path(workdir))
    if all(together.diverged(member.workdir) for member in every):
        raise Diverged(f"the loss of every member of {workdir} ceased to be finite; tamer values, in another --workdir")
    return 0


def tell(workdir: Path) -> None:
    """Write and print what came of a sweep; what is trained does not fail for want of a table."""
    try:
        from aejax.analysis import sweep  # here, since Matplotlib takes its time to import

        print("\n".join(sweep.write(workdir)), flush=True)
    except BrokenPipeError:
        raise
    except Exception as error:
        again = f"python -m aejax.analysis.sweep --workdir={workdir}"
        print(f"aejax: no summary of {workdir}: {error}; {again} may give one", file=sys.stderr)
