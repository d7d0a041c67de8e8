"""Asked to end: once is a request, a second Ctrl-C is an order."""

import os
import signal

import pytest

from fragmodel.training import interrupt
from fragmodel.training.interrupt import Interruption


@pytest.mark.parametrize("number", interrupt.SIGNALS)
def test_a_signal_is_a_request(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interruption() as interruption:
        assert not interruption.agree()
        os.kill(os.getpid(), number)
        assert interruption.agree()
        assert interruption.requested
    assert signal.getsignal(number) == before


def test_the_same_ctrl_c_may_come_twice_but_not_a_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.agree()
        monkeypatch.setattr(interrupt, "IMPATIENCE", -1)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
