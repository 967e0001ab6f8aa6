"""THE LOOP: compiled chunks of steps, and between them log, sample, judge and save.

train.py       `sparring.train` and `sparring.resume`
replicas.py    several seeds at once in one program
setup.py       networks, images and devices, which runs that differ only in their seed share
start.py       a session at its first state or at the newest checkpoint
session.py     the state of a run that is being trained, and what is written to the run between two chunks
grids.py       the images of a run's sample grids
loop.py        trains sessions to their end
chunks.py      many steps in one compiled call
feed.py        the images of each chunk: resident on the device, or streamed to it
plan.py        at which steps to log, sample, judge and shuffle
devices.py     devices that share every batch
processes.py   processes that train together: how they meet, agree and end
memory.py      free memory on devices, and what does not fit
stopping.py    Ctrl-C and SIGTERM as a request to stop
reporter.py    what shows the progress of a training
live.py        the live view in a terminal
score.py       the score of a finished run on its validation images
operations.py  the floating-point operations of a step, by formulas
benchmark.py   `sparring bench`: the compiled loop beside a matrix product
"""
