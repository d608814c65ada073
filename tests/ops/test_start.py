import os
import socket
import subprocess
import sys

import pytest

from tradeul.errors import StartError
from tradeul.ops.start import free_port, sole_owner, usable_folder


def test_a_second_owner_is_told_who_the_first_is(tmp_path):
    with sole_owner(tmp_path, "scanner"):
        code = "import pathlib, sys; from tradeul.ops.start import sole_owner\nwith sole_owner(pathlib.Path(sys.argv[1]), 'scanner'): pass"
        second = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=30)
    assert f"process {os.getpid()}) runs on {tmp_path}" in second.stderr


def test_a_released_lock_can_be_taken_again(tmp_path):
    for _ in range(2):
        with sole_owner(tmp_path, "scanner"):
            pass


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match=r"cannot be written .*: set TRADEUL_STATE"):
        usable_folder(tmp_path / "file" / "state")


def test_a_port_in_use_is_one_sentence_naming_the_setting():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StartError, match=f"Port {port} on 127.0.0.1 .* set TRADEUL_API_PORT"):
            free_port("127.0.0.1", port, "TRADEUL_API_PORT")
    free_port("127.0.0.1", port, "TRADEUL_API_PORT")
