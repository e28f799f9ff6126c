"""The commands, a module each: to list this directory is to read the catalogue."""

import sys

if sys.argv[0].rpartition("/")[2].startswith("ebpf-"):
    # This process is one of them.
    import gc
    import signal

    # Until it takes the signals over, in cli.main(), a Ctrl-C ends it at once,
    # without a traceback of the imports.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # There is nothing to collect while starting. Session.attached() lets it
    # collect again.
    gc.disable()
