"""The machine that figures were taken on: processor, cores, memory, operating system; no names of its own."""

import hashlib
import os
import platform
from pathlib import Path


def cores() -> int:
    """The cores that this process may use: how many threads every framework is given."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> dict[str, str | int]:
    """``{"processor", "cores", "memory_gib", "system", "python", "code"}``, the last of aejax's own files."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": round(pages / 2**30),
        "system": _system(),
        "python": platform.python_version(),
        "code": _code(),
    }


def peak_of_device() -> dict[str, int]:
    """``{"memory"}``, the peak of JAX's device, bytes, where the platform counts it; elsewhere nothing."""
    import jax  # here, since others than aejax's workers have no use for it

    counted = jax.local_devices()[0].memory_stats() or {}
    return {"memory": counted["peak_bytes_in_use"]} if "peak_bytes_in_use" in counted else {}


def _code() -> str:
    """Changes with aejax's source, so that figures of one version are not taken for those of another."""
    package = Path(__file__).parents[1]
    found = [path.read_bytes() for path in sorted(package.rglob("*.py"))]
    return hashlib.sha256(b"\0".join(found)).hexdigest()[:12]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        name = platform.system()
    return f"{name}, {platform.machine()}"
