"""Numbers with units, as people read them."""

PREFIXES = {1e15: "P", 1e12: "T", 1e9: "G", 1e6: "M", 1e3: "k", 1.0: "", 1e-3: "m", 1e-6: "µ", 1e-9: "n"}


def si(value: float, unit: str) -> str:
    """``9.52 MFLOP``: three digits that count, with a prefix of the SI (kB are 1000 bytes)."""
    shown = float(f"{value:.3g}")  # 999.9 of something is 1 thousand of it
    scale = next((scale for scale in PREFIXES if abs(shown) >= scale), 1e-9 if shown else 1.0)
    digits = f"{shown / scale:#.3g}"
    whole = unit == "B" and scale == 1.0 or not shown
    return f"{float(digits):g} {unit}" if whole else f"{digits.removesuffix('.')} {PREFIXES[scale]}{unit}"
