"""``codes:WORKDIR``: codes of a run's own data, as images of one row; what the next layer of a stack learns from."""

from ml_collections import ConfigDict

from aejax.data.dataset import Source, Split
from aejax.errors import UserError


def read(data: ConfigDict, rest: str) -> Source:
    """The clean codes of train, valid and test of the run in a workdir: float32 [n, 1, 1, d], or maps as they are.

    Raises:
      UserError: there is no run there, or its data are not to be found.
    """
    from aejax import run  # here, since a run stands on top of the data

    if not rest:
        raise UserError("data.name=codes: say which run's, codes:WORKDIR")
    loaded = run.load(rest)
    dataset = loaded.dataset()

    def coded(split: Split) -> Split:
        z = loaded.encode(split.images)
        return Split(z.reshape(len(z), *(loaded.code_shape if z.ndim == 4 else (1, 1, -1))), split.labels)

    return Source({name: coded(getattr(dataset, name)) for name in ("train", "valid", "test")}, dataset.classes)
