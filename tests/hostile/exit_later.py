"""Is imported well, and ends the process when somebody else's turn has come."""

import os
import threading
import time


def end() -> None:
    """Wait for the next import."""
    time.sleep(0.05)
    os._exit(0)


threading.Thread(target=end).start()
