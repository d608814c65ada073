"""A server that a test started ends with the test run, also when that is killed; where the system can do so (Linux)."""

import ctypes
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
# The signal comes when the thread that started the server is gone: a test's own may end with the test.
_starter = ThreadPoolExecutor(1, "lifeline")


def started(arguments, number=signal.SIGKILL, **options):
    """A child in a session of its own, which gets this signal when we are gone."""

    def tie():
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, number)

    return _starter.submit(subprocess.Popen, arguments, start_new_session=True, preexec_fn=tie, **options).result()
