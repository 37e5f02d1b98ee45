"""What stands around a run: who may stop it, and how soon."""

import signal

import numpy as np
import pytest

from aejax import distributed
from aejax.host import Host, Signals


def test_a_second_sigterm_is_the_first_once_more():
    with Signals() as signals:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert signals.received == signal.SIGTERM


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_it_saves_stops_at_once(first):
    with Signals() as signals, pytest.raises(SystemExit) as stopped:
        signal.raise_signal(first)
        assert signals.received == first
        signal.raise_signal(signal.SIGINT)
    assert stopped.value.code == 130


def test_a_signal_before_training_began_stops_it_at_its_beginning():
    with Signals() as outer:
        signal.raise_signal(signal.SIGTERM)
        with Host().signals() as signals:
            assert signals.received == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == outer._note, "the process's own, to its end"
    with Signals() as signals:
        assert signals.received is None


def test_all_do_as_process_0_would_but_stop_for_anyone(monkeypatch):
    others = [[9, 1, signal.SIGTERM], [1, 1, 0]]
    monkeypatch.setattr(distributed, "told_by_all", lambda numbers: np.asarray([numbers, *others]))
    assert Host().agreed(4, False, None) == (4, False, signal.SIGTERM)
    others = [[9, 1, 0]]
    assert Host().agreed(4, True, signal.SIGINT) == (4, True, signal.SIGINT)
    assert Host().agreed(4, True, None) == (4, True, None)
