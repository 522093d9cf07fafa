"""Messages that are kept back while TensorFlow is imported."""

import os

import pytest

from trainer import quiet


@pytest.mark.parametrize(("error", "shown"), [(ImportError, "noise"), (KeyboardInterrupt, "")])
def test_noise_is_shown_if_the_import_fails(capfd, error, shown):
    with pytest.raises(error), quiet.standard_error_kept_back():
        os.write(2, b"noise")
        raise error
    assert capfd.readouterr().err == shown
