"""``launch/colab_tpu.ipynb``, executed on the CPU at tiny presets."""

import json

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests import configurations

PATH = configurations.ROOT / "launch/colab_tpu.ipynb"


def execute(notebook, folder):
    """The notebook with its outputs, executed in a folder by this Python."""
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}})
    return client.execute()


@pytest.fixture
def notebook():
    return nbformat.read(PATH, as_version=4)


def test_it_is_a_notebook_without_outputs(notebook):
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells and not any(cell.outputs or cell.execution_count for cell in cells)
    assert not any(path in PATH.read_text() for path in ("/home/", "/root/", "/work/", "/tmp/", "/Users/", "/content/"))


def test_every_cell_runs(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("AEJAX_PRESET", "tiny")
    for name in ("aejax", "configs"):
        (tmp_path / name).symlink_to(configurations.ROOT / name)
    cells = {cell.id: cell for cell in execute(notebook, tmp_path).cells}
    for shown in ("filters", "grid"):
        assert any("image/png" in output.get("data", {}) for output in cells[shown].outputs)
    assert "cpu:0" in json.dumps(cells["devices"].outputs) and "runs/wta: 24 steps" in json.dumps(cells["wta"].outputs)
    for name, size in (("wta", 32), ("vae", 2)):
        assert json.loads((tmp_path / f"runs/{name}/config.json").read_text())["code"]["size"] == size


def test_a_command_that_fails_stops_the_notebook(notebook, tmp_path):
    devices = next(cell for cell in notebook.cells if cell.id == "devices")
    defined = devices.source.partition('\n\n\npython("-c"')[0]
    notebook.cells = [nbformat.v4.new_code_cell(f'import sys\n{defined}\n\npython("-c", "raise SystemExit(2)")')]
    with pytest.raises(CellExecutionError, match="has failed"):
        execute(notebook, tmp_path)
