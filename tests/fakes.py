"""Workers of the bench in plain Python, which answer at once."""

import sys
import textwrap

ANSWERS = """
    import json, os, sys, time
    steps = 0
    for line in sys.stdin:
        request = json.loads(line)
        reply = {"memory": 5_000_000}
        if request["do"] in ("prepare", "operator"):
            reply |= {"versions": {"fake": "1"}, "how": "not at all"}
        if request["do"] == "train":
            steps += request["steps"]
            reply |= {"seconds": request["steps"] * 1e-4, "loss": 7.0}
        if request["do"] == "repeat":
            reply |= {"seconds": request["count"] * 1e-5}
        if request["do"] in ("together", "in_turn", "one", "several"):
            models = len(request["nets"] if "nets" in request else [*request["sweep"].values()][0].split(","))
            losses = [7.0] * (1 if request["do"] == "one" else models)
            reply |= {"seconds": 2.0, "losses": losses, "versions": {"fake": "1"}, "how": "not at all"}
        if request["do"] == "multiply":
            reply |= {"flops": 1e11}
        if request["do"] == "device":
            reply |= {"platform": "cpu", "device": "cpu"}
        CLAUSE
        print(json.dumps(reply), flush=True)
"""


def write(folder, name, clause="pass"):
    """Write a worker into the folder, with a clause of its own, and give its command."""
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(ANSWERS).replace("CLAUSE", clause))
    return sys.executable, str(path)
