"""The shipped configs, as tests use them."""

import importlib
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

ROOT = Path(__file__).parent.parent
NAMES = sorted(path.stem for path in (ROOT / "configs").glob("*.py") if path.stem not in ("base", "__init__"))


def load(name: str, changes: dict[str, Any] | None = None, preset: str = "tiny") -> ConfigDict:
    """A config's preset on one device, without event files or figures, with dotted keys changed."""
    config = importlib.import_module(f"configs.{name}").get_config(preset)
    with config.unlocked():
        config.update_from_flattened_dict(
            {"mesh.devices": 1, "log.tensorboard": False, "log.figure_epochs": (), **(changes or {})}
        )
    return config.lock()
