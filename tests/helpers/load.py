"""Work for the other core."""

import threading
from contextlib import contextmanager

import numpy as np


@contextmanager
def busy_machine():
    """Keep a core and the memory bus busy meanwhile."""
    stop = threading.Event()

    def work():
        A = np.random.default_rng(0).standard_normal((300, 300))
        while not stop.is_set():
            A = A @ A
            A /= np.abs(A).max()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
