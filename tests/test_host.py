"""What stands around a run: who may stop it, and how soon."""

import signal

import pytest

from aejax.host import Signals


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
