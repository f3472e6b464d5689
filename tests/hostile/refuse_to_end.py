"""Is imported well, then does not end when it is asked to."""

import os
import threading
import time

os._exit = lambda status: None
threading.Thread(target=time.sleep, args=(1 << 20,)).start()
