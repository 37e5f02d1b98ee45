"""A worker that trains a described net in PyTorch, or runs an operator: ``python pytorch.py eager|compile``.

As a good user would write it for a data set that fits in memory: the whole of it one
uint8 tensor, batches by index and no DataLoader, Adam fused into one pass. (Of what was tried on a
CPU, uint8 rows were gathered faster than float32 ones, and fused Adam two to six times faster than the
others.) ``compile`` puts ``torch.compile`` around preparation, forward pass and loss; the backward
pass comes with it.
"""

import sys

import protocol
import pytorch_operators
import pytorch_training
import several

if __name__ == "__main__":
    compiled = sys.argv[1] == "compile"
    training, operators = pytorch_training.Training(compiled), pytorch_operators.Operators(compiled)
    protocol.serve(
        {
            "prepare": training.prepare,
            "train": training.train,
            "operator": operators.operator,
            "repeat": operators.repeat,
            **several.handlers(training),
        }
    )
