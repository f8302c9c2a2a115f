"""What workers need is imported here, once, by the process that they are forked from; nobody else imports this."""

import gc
import os

# A cloud's SDK is a hundred thousand objects that stay, and what no collector looks through stays shared, too.
gc.disable()

# Terminal signals of the server's session are none of theirs, and processors are shared among sessions.
os.setsid()

from automation import update  # noqa: E402,F401
from components import aws, azure, gcp, local  # noqa: E402,F401
from provider.resources import resources  # noqa: E402

resources()

gc.freeze()
gc.enable()
