"""A thread that works beside its caller."""

import threading

import pytest

from dynamics.support.beside import Beside

LONG = 30.0  # seconds after which a test that hangs has failed


def test_pieces_are_done_in_their_order_while_the_caller_goes_on():
    goes_on, done, beside = threading.Event(), [], Beside(most=3)
    beside.add(lambda: done.append(goes_on.wait(LONG)))
    beside.add(done.append, "second")
    assert done == []
    goes_on.set()
    beside.wait()
    assert done == [True, "second"]


def test_no_more_than_so_many_are_unfinished():
    begun, go_on, added = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        go_on.wait(LONG)

    beside = Beside(most=1)
    beside.add(work)

    def more():
        beside.add(lambda: None)
        added.append(go_on.is_set())

    caller = threading.Thread(target=more)
    caller.start()
    assert begun.wait(LONG)
    go_on.set()
    caller.join(LONG)
    assert added == [True]


def test_errors_are_raised_once_in_the_caller_and_hold_nothing_up():
    done, beside = [], Beside(most=5)
    for text in ("first", "second"):
        beside.add(lambda text=text: (_ for _ in ()).throw(ValueError(text)))
    beside.add(done.append, "after them")
    beside.finish()
    assert done == ["after them"]
    for text in ("first", "second"):
        with pytest.raises(ValueError, match=text):
            beside.check()
    beside.wait()
