"""Step time against the number of devices: the roofline by hand, what is measured and told, the command."""

import dataclasses
import functools
import json
import os

import pytest

from aejax.bench import accelerators, command, nets, roofline, scaling, scaling_command, scaling_plots, scaling_report
from aejax.bench.accelerators import H100, TPU_V5E, Collective
from aejax.bench.frameworks import Framework
from aejax.bench.results import Scalings
from aejax.bench.roofline import Affine, Net, Times
from aejax.bench.scaling import Row, Scaling
from aejax.bench.workers import WorkerFailed
from aejax.errors import UserError
from tests import fakes

MACHINE = {"processor": "P", "cores": 2, "memory_gib": 8, "system": "S", "python": "3", "device": "cpu",
           "accelerator": ""}  # fmt: skip
SETTINGS = {"repeats": 2, "seconds": 0.1, "data": "", "devices": [1, 2]}
# 1 GFLOP/s and 1 GB/s a link after what is lost; an all-reduce of n has n steps of 1 ms over two links
CHIP = dataclasses.replace(
    H100, name="chip", counts=(1, 2, 4), peaks={"float32": 1e9 / roofline.ATTAINED}, bandwidth=1e9 / roofline.STREAMED,
    link=1e9, start=5e-3, hop=1e-3, collective=lambda n: Collective(2, n),
)  # fmt: skip
NET = Net(flops=Affine(0, 1e6), bytes=Affine(4e6, 5e5), gradient=8e6, batch=10)


# -- the roofline


def test_an_all_reduce_has_a_start_its_steps_and_its_bytes_over_the_links():
    assert roofline.all_reduce(CHIP, 1, 8e6) == 0
    assert roofline.all_reduce(CHIP, 4, 8e6) == pytest.approx(5e-3 + 4e-3 + 2 * 3 / 4 * 8e6 / 2e9)


def test_times_of_a_step_by_hand():
    found = roofline.times(CHIP, "float32", NET, 2, 10)
    assert found == pytest.approx((10e-3, 9e-3, 5e-3 + 2e-3 + 4e-3))
    assert found.own == pytest.approx(10e-3) and found.step == pytest.approx(21e-3)
    assert roofline.times(CHIP, "float32", NET, 1, 2).own == pytest.approx(5e-3), "bounded by memory"


def test_weak_scaling_keeps_the_batch_on_each_chip_and_strong_scaling_over_all():
    weak, strong = roofline.weak(CHIP, "float32", NET), roofline.strong(CHIP, "float32", NET)
    assert [t.compute for t in weak.values()] == pytest.approx([10e-3] * 3)
    assert [t.compute for t in strong.values()] == pytest.approx([10e-3, 5e-3, 3e-3]), "three a chip, two are padding"
    few = roofline.strong(CHIP, "float32", NET._replace(batch=3))
    assert few[4].compute == pytest.approx(1e-3), "one example a chip at least"


def test_where_communication_takes_over_and_how_many_are_fastest():
    found = {1: Times(4, 2, 0), 2: Times(2, 1, 2), 4: Times(1, 1.5, 2), 8: Times(0.5, 0.5, 3)}
    assert roofline.taken_over(found) == 4 and roofline.fastest(found) == 4
    assert roofline.taken_over({1: Times(1, 1, 0)}) is None and roofline.fastest({1: Times(1, 1, 0)}) == 1
    assert roofline.fastest({1: Times(2, 0, 0), 2: Times(1, 0, 1)}) == 1, "as fast, and fewer"


def test_costs_lie_on_a_line_through_both_batches():
    line = roofline.through((4, 32), (100, 660))
    assert line == (20, 20) and line.at(10) == 220
    assert roofline.through((4, 32), (40, 320)) == (0, 10)
    assert roofline.through((4, 32), (10, 500)).fixed == 0 and roofline.through((4, 32), (30, 20)).each == 0


def test_chips_are_joined_as_the_makers_say():
    """Two links an axis that closes into a ring, at 16 chips, one an axis that does not."""
    assert {n: accelerators.torus(n) for n in (1, 4, 8, 16, 128, 256)} == {
        1: (0, 0), 4: (2, 2 + 2), 8: (2, 2 + 6), 16: (2, 6 + 6), 128: (3, 14 + 16), 256: (4, 16 + 16)
    }  # fmt: skip
    assert 256 * 4 * TPU_V5E.link == 51.2e12, "the all-reduce bandwidth of a pod, as Google has it"
    assert accelerators.switched(1).steps == 0 and accelerators.switched(8) == (1, 14)
    for chip in accelerators.ACCELERATORS:
        assert chip.counts[0] == 1 and set(chip.peaks) == set(nets.PRECISIONS) and len(chip.sources) >= 2


# -- what is measured


@pytest.fixture
def fake(tmp_path):
    """A function that writes a worker in plain Python, with a clause of its own, and gives its command."""
    return functools.partial(fakes.write, tmp_path)


COSTS = (
    "reply |= {'parameters': 2128, 'state': 25544, 'products': [1000 * b for b in request['batches']], "
    "'bytes': [4e5 + 50 * b for b in request['batches']]} if request['do'] == 'costs' else {}"
)


def test_every_number_of_devices_is_measured_with_the_batch_over_all_and_on_each(fake, tmp_path):
    log = tmp_path / "log"
    note = (
        f"told = [request['do'], request.get('name'), request.get('devices'), os.environ['XLA_FLAGS']]; "
        f"request['do'] == 'prepare' and print(json.dumps(told), file=open({str(log)!r}, 'a')); {COSTS}"
    )
    found = scaling.measure("shallow:tiny", "", [1, 2], Framework("aejax", fake("ours", note)), 3, 0.01, print)
    assert [json.loads(line) for line in log.read_text().splitlines()] == [
        ["prepare", f"shallow:tiny@{batch}", n, f"--xla_force_host_platform_device_count={n}"]
        for n, batch in ((1, 32), (2, 32), (2, 64))
    ]
    assert [(row.devices, row.batch, len(row.seconds)) for row in found.rows] == [(1, 32, 3), (2, 32, 3), (2, 64, 3)]
    assert found.rows[0].seconds == pytest.approx([1e-4] * 3), "a step of the fake"
    assert [row.batch for row in found.weak()] == [32, 64] and [row.batch for row in found.strong()] == [32, 32]
    assert (found.data, found.batch, found.batches) == ("digits", 32, [4, 32])
    assert found.net() == Net(Affine(0, 1000), Affine(4e5, 50), 4 * 2128, 32)


def test_a_failure_is_noted_and_one_of_the_costs_is_told(fake):
    fails = f"{COSTS}; request.get('devices') == 2 and sys.exit('no such device')"
    found = scaling.measure("shallow:tiny", "", [1, 2], Framework("aejax", fake("some", fails)), 1, 0.01, print)
    assert [bool(row.missing) for row in found.rows] == [False, True, True] and "no such device" in found.rows[
        1
    ].missing
    assert len(found.weak()) == 1
    with pytest.raises(WorkerFailed, match="shallow:tiny: .*full"):
        fails = "if request['do'] == 'costs': raise MemoryError('full')"
        scaling.measure("shallow:tiny", "", [1], Framework("aejax", fake("none", fails)), 1, 0.01, print)


# -- what is told


def made(**changes):
    rows = [Row(1, 32, seconds=[2e-4, 1e-4]), Row(2, 32, seconds=[4e-4, 4e-4]), Row(2, 64, seconds=[4e-4, 2e-4])]
    given = {"parameters": 51_000, "state": 612_000, "batches": [4, 32], "products": [10**6, 8 * 10**6],
             "bytes": [4e6, 4.7e6], "rows": rows}  # fmt: skip
    return Scaling("shallow", "mnist5k", 32, **{**given, **changes})


def test_what_is_told(tmp_path):
    results = Scalings(tmp_path, MACHINE, SETTINGS)
    results.add(made(rows=[*made().rows, Row(4, 32, missing="no such device")]))
    told = scaling_report.text(results)
    assert "| shallow | weak | 1 | 32 | 150 µs (100 µs..200 µs) | 213,333 | — |" in told
    assert "|  |  | 2 | 64 | 300 µs (200 µs..400 µs) | 213,333 | 1.00× |" in told
    assert "|  |  | 2 | 32 | 400 µs (400 µs..400 µs) | 80,000 | 0.38× |" in told, "half as fast, and a quarter"
    assert "| shallow | 32 | 51,000 | 8.00 MFLOP | 250 kFLOP | 4.70 MB | 1.7 | 612 kB | 204 kB |" in told
    assert "shallow, 4 devices, batch 32, is missing: no such device" in told
    assert "share 2 cores of this machine" in told and "More devices than 2 cannot be faster" in told
    assert "- shallow, batch 32: one H100 SXM is enough, more are slower; of its 80.0 GB" in told
    for line in scaling_report.assumptions():
        assert line in told
    assert all(source in told for chip in accelerators.ACCELERATORS for source in chip.sources)


def test_the_table_on_paper_is_the_roofline(tmp_path):
    found = made()
    weak, strong = (of(TPU_V5E, "float32", found.net()) for of in (roofline.weak, roofline.strong))
    row = next(line for line in scaling_report.paper_table([found]).splitlines() if "TPU v5e x 256 | float32" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    own = 4.7e6 / (roofline.STREAMED * 819e9)
    assert cells[3:5] == [f"{own * 1e6:.2f} µs", "memory"]
    assert cells[5] == "34.0 µs", "32 steps of 1 µs, and 2 · 255/256 · 204 kB over four links of 50 GB/s"
    assert cells[6] == str(roofline.taken_over(weak)) and 1 < int(cells[6]) < 256
    assert cells[7] == f"{weak[1].step / weak[256].step:.0%}"
    assert cells[8:] == [str(roofline.taken_over(strong)), "1", "1.0"]


def test_the_picture_has_a_row_a_net_and_a_column_an_accelerator(tmp_path):
    results = Scalings(tmp_path, MACHINE, SETTINGS)
    results.add(made())
    results.add(dataclasses.replace(made(), name="deep"))
    page = scaling_plots.draw(results)
    assert len(page.axes) == 2 * (1 + len(accelerators.ACCELERATORS))
    measured, tpu, _ = page.axes[:3]
    assert list(measured.lines[0].get_xdata()) == [1, 2]
    assert list(measured.lines[0].get_ydata()) == pytest.approx([1.5e-4, 3e-4])
    assert list(tpu.lines[0].get_xdata()) == list(TPU_V5E.counts)
    assert len(tpu.lines[2].get_xdata()) == len(TPU_V5E.counts) - 1, "one chip has nobody to talk to"


# -- the command


def test_the_command_measures_keeps_and_goes_on(tmp_path, capsys):
    """One net on one and two host devices, in processes of their own."""
    asked = ["scaling", "--config=configs/shallow.py:tiny", "--devices=1,2", "--repeats=1", "--seconds=0.05"]
    assert command.main([*asked, f"--workdir={tmp_path}"]) == 0
    out, _ = capsys.readouterr()
    kept = json.loads((tmp_path / "scaling.json").read_text())
    (net,) = kept["nets"]
    assert (net["name"], net["parameters"], net["batches"]) == ("shallow:tiny", 2128, [4, 32])
    assert net["products"] == [5 * 2 * 64 * 16 * batch for batch in (4, 32)]
    assert net["bytes"][0] < net["bytes"][1] < 1e6, "the examples that are not read do not count"
    assert [(row["devices"], row["batch"]) for row in net["rows"]] == [(1, 32), (2, 32), (2, 64)]
    assert all(row["seconds"] and not row["missing"] for row in net["rows"])
    assert (tmp_path / "scaling.md").read_text().strip() in out and (tmp_path / "scaling.png").stat().st_size > 1000
    before = os.stat(tmp_path / "scaling.json").st_mtime_ns
    assert command.main([*asked, f"--workdir={tmp_path}"]) == 0
    assert "is measured already" in capsys.readouterr().err
    assert os.stat(tmp_path / "scaling.json").st_mtime_ns == before


@pytest.mark.parametrize("arguments, told", [
    (["scaling", "--devices=0,2"], "--devices=0,2; accepted: different whole numbers from 1 to 64"),
    (["scaling", "--devices=two"], "--devices=two"),
    (["scaling", "--devices=2,2"], "--devices=2,2"),
    (["scaling", "--config=shalow"], "'shalow' is not a shipped config"),
    (["scaling", "--precision=float32"], "--precision has no use for scaling alone"),
    (["scaling", "--peers"], "--peers has no use for scaling alone"),
    (["shallow:tiny", "--devices=2"], "--devices has no use for shallow:tiny alone"),
    (["sweeps", "--config=shallow"], "--config has no use for sweeps alone"),
])  # fmt: skip
def test_mistakes_are_told_in_a_line(tmp_path, capsys, arguments, told):
    assert command.main([*arguments, f"--workdir={tmp_path}"]) == 2
    out, err = capsys.readouterr()
    assert told in err and err.count("\n") == 1 and out == ""


def test_names_are_those_of_the_bench_or_paths_of_configs():
    assert scaling_command._name("configs/wta.py:mnist@50") == scaling_command._name("wta:mnist@50") == "wta:mnist@50"
    assert scaling_command._devices(None) == [1, 2, 4, 8] and scaling_command._devices(["8", "1"]) == [1, 8]
    with pytest.raises(UserError, match="1 to 64"):
        scaling_command._devices(["65"])
