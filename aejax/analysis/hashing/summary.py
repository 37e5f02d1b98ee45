"""What the numbers of ``hashing`` say, in words."""

from collections.abc import Mapping

import numpy as np

RULES = {"half": "on above ½", "zero": "on above 0, where a unit fires", "median": "on above each unit's train median"}


def summarise(numbers: Mapping) -> list[str]:
    """What the numbers say, a sentence a line; ``numbers`` as ``hashing.analyse`` writes them."""
    lines = [*_made(numbers), *_used(numbers)]
    if numbers["unlabelled"]:
        return [*lines, f"Bits, balance and distinct codes alone: {numbers['unlabelled']}."]
    return [*lines, *_pure(numbers), *_found(numbers)]


def _made(numbers: Mapping) -> list[str]:
    code, how = numbers["codes"]["code"], numbers["threshold"]
    bits = code["bits"]
    told = "the codes are bits already" if how["already_bits"] and how["rule"] != "median" else RULES[how["rule"]]
    lines = [f"{bits:,} bit{'s' * (bits > 1)}: {told}."]
    if "pooled" in how:
        maps, window = ("×".join(map(str, how["pooled"][key])) for key in ("maps", "window"))
        lines[0] = lines[0][:-1] + f"; maps {maps}, max-pooled over {window}."
    if bits > 256:
        bytes_ = -(-bits // 8)
        lines.append(f"That is {bytes_:,} bytes a code, and far more bits than a table is looked up by (30 to 256).")
    if fewer := {name: s["bits"] for name, s in numbers["codes"].items() if s["bits"] < bits}:
        told = " and ".join(f"{name}, {count:,}" for name, count in fewer.items())
        time = "; ITQ is cut off for its time" if fewer.get("ITQ") != fewer.get("PCA-sign") else ""
        why = "the inputs have no more principal components" if "PCA-sign" in fewer else ""
        lines.append(f"At fewer bits: {told} ({(why + time).removeprefix('; ')}).")
    return lines


def _used(numbers: Mapping) -> list[str]:
    code, noun = numbers["codes"]["code"], numbers["noun"]
    test, bits = code["test"], code["bits"]
    share = 100 * np.asarray(test["share_of_ones"])
    dead, n = test["dead_bits"], test["examples"]
    lines = [
        f"A bit is on for {np.median(share):.1f} % of the test {noun}s in the median ({share.min():.1f} to "
        f"{share.max():.1f} %) and tells {test['mean_bit_entropy']:.2f} bits on average; {dead or 'none'} of {bits:,} "
        f"{'is' if dead == 1 else 'are'} always the same ({code['train']['dead_bits'] or 'none'} on train)."
    ]
    balanced = numbers["threshold"]["mean_bit_entropy_at_median"]
    if balanced > 0.1 + code["train"]["mean_bit_entropy"]:
        lines.append(f"  Cut at their medians, --threshold=median, the same units tell {balanced:.2f} bits on train.")
    if np.isfinite(r := test["mean_absolute_correlation"]):
        others = {name: s["test"]["mean_absolute_correlation"] for name, s in numbers["codes"].items()}
        others = ", ".join(f"{name} {x:.2f}" for name, x in others.items() if name != "code" and np.isfinite(x))
        lines.append(f"Mean |r| between bits: {r:.2f}" + (f" ({others})." if others else "."))
    lines.append(
        f"{test['distinct_codes']:,} distinct codes of {n:,} {noun}s; their entropy is {test['code_entropy_bits']:.2f} "
        f"bits of the {test['most_code_entropy_bits']:.2f} that there could be."
    )
    return lines


def _pure(numbers: Mapping) -> list[str]:
    code, noun = numbers["codes"]["code"], numbers["noun"]
    sets = code["sets"]
    lines = [
        f"Gini purity of equal codes: {sets['purity']:.3f} (chance {sets['chance']:.3f}) over {sets['sets']:,} sets; "
        f"{100 * sets['singletons_share']:.1f} % of the {noun}s are alone in theirs"
    ]
    without = f"and without those it is {sets['purity_without_singletons']:.3f} "
    without += f"(chance {sets['chance_without_singletons']:.3f})"
    without = without if sets["singletons_share"] < 1 else "and there is nothing else to be pure"
    lines[0] += f", {without}." if sets["singletons_share"] > 0 else "."
    told = [
        f"{b['radius']}: {b['purity']:.3f} (chance {b['chance']:.3f}; empty for {100 * b['empty_share']:.1f} %)"
        for b in code["balls"]
        if b["empty_share"] < 1
    ]
    empty = f"every {noun} is alone up to radius {code['balls'][-1]['radius']}"
    return [*lines, f"Purity within a Hamming radius, itself left out: {'; '.join(told) or empty}."]


def verdict(points: float, error: float) -> str:
    """``above``, ``below``, or where the difference is within two standard errors ``within noise of``."""
    return "within noise of" if abs(points) <= 2 * error else "above" if points > 0 else "below"


def _found(numbers: Mapping) -> list[str]:
    codes, examples, noun = numbers["codes"], numbers["examples"], numbers["noun"]
    mine, depth = codes["code"]["retrieval"], f" among the first {numbers['top']:,}" if numbers["top"] else ""
    inputs = numbers["inputs"]["mean_average_precision"]
    lines = [
        f"mAP{depth}: {mine['mean_average_precision']:.3f} ± {mine['standard_error']:.3f} over {examples['queries']:,} "
        f"queries to {examples['train']:,} train {noun}s; chance {numbers['chance']['mean_average_precision']:.3f}, "
        f"Euclidean distance of the inputs {inputs:.3f}."
    ]
    for name, gap in numbers["code_minus"].items():
        points, error = gap["mean_average_precision"], gap["standard_error"]
        theirs = f"{codes[name]['retrieval']['mean_average_precision']:.3f} of {name}"
        if "draws" in codes[name]:
            std = codes[name]["mean_average_precision_std_over_draws"]
            theirs += f" ({codes[name]['draws']} draws, std {std:.3f})"
        lines.append(f"  {points:+.3f} ± {error:.3f}, {verdict(points, error)} the {theirs}.")
    near = codes["code"]["retrieval"]
    others = {name: s["retrieval"]["precision_within_radius_2"] for name, s in codes.items() if name != "code"}
    lines.append(
        f"Precision within Hamming radius 2: {near['precision_within_radius_2']:.3f} "
        f"({', '.join(f'{name} {value:.3f}' for name, value in others.items())}); nothing is that near for "
        f"{100 * near['nothing_within_radius_2_share']:.1f} % of the queries, which count as 0."
    )
    depths = ", ".join(f"{p:.3f} at {k}" for k, p in near["precision_at"].items())
    return [*lines, f"Precision of the first k: {depths}."]
