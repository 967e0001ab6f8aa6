"""The program: `sparring`, or `python -m sparring`.

The first lines make signals end the program without a traceback while the rest is imported. Ctrl-C during the start of
Python itself still shows a traceback.
"""

import sys

from sparring.system.isolation import leave_current_folder

if __name__ == "__main__":
    leave_current_folder()

import _signal  # type: ignore[import-not-found]  # `signal` imports more, which takes time

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

from sparring import interrupts


def main() -> int:
    """Run the command line. Returns the exit status."""
    interrupts.listen()
    if __name__ != "__main__":
        leave_current_folder()
    from sparring.cli import main as cli

    return cli.program()


if __name__ == "__main__":
    sys.exit(main())
