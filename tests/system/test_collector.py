"""The collector of garbage is as before after a pause."""

import gc

import pytest

from defocusctl.system.interruption import collector_paused


def test_it_is_paused_and_goes_on_even_after_an_error() -> None:
    with collector_paused():
        assert not gc.isenabled()
        with pytest.raises(ValueError, match="inside"), collector_paused():
            raise ValueError("inside")
        assert not gc.isenabled()
    assert gc.isenabled()
