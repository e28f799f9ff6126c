"""The commands, a module each: the list of this directory is the catalogue."""

import sys

if sys.argv[0].rpartition("/")[2].startswith("ebpf-"):
    # This process is one of them.
    import gc
    import signal

    # Until something has to be removed at its end, a Ctrl-C ends it at once, without a
    # traceback. If it is ignored, as in a job in the background, that stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # There is nothing to collect while starting. Session.attached() lets it
    # collect again.
    gc.disable()
