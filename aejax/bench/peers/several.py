"""Several nets by a loop in one process, as part of a worker: standard library only.

``training`` can ``build`` a described net, train ``epochs`` of it and tell the mean loss of the last, and ``told`` how.
"""

import time


def handlers(training):
    """The requests that any worker with such a ``training`` answers."""

    def ready():
        """Nothing: by the time of its answer the libraries are imported."""
        return {}

    def several(nets, epochs, **data):
        """Build each net and train it: the seconds of all, and of each its last epoch's loss and its parameters."""
        began, losses, parameters = time.perf_counter(), [], []
        for net in nets:
            training.build(net, **data)
            losses.append(training.epochs(epochs))
            told = training.told()
            parameters.append(told["parameters"])
        return {**told, "seconds": time.perf_counter() - began, "losses": losses, "parameters": parameters}

    return {"ready": ready, "several": several}
