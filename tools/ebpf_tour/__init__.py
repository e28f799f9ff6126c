"""ebpf-tour: eBPF by example, one small tool for each hook and map type."""

import sys

__version__ = "0.1.0"

if sys.argv[0].rpartition("/")[2].startswith("ebpf-"):
    # This is one of our commands.
    import gc
    import signal

    # Until it takes the signals over, in cli.main(), a Ctrl-C ends it at once,
    # without a traceback of the imports.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # There is nothing to collect while starting. Session.attached() lets it
    # collect again.
    gc.disable()
