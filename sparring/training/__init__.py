"""THE LOOP: compiled chunks of steps, and between them log, sample, judge and save.

train.py       `sparring.train` and `sparring.resume`
session.py     a run that is being trained: what is written between two chunks
loop.py        many steps in one compiled call
feed.py        training images that a device has no room for, streamed to it
plan.py        at which steps something happens
devices.py     devices that share every batch
processes.py   processes that train together: how they meet, agree and end
memory.py      free memory on devices, and what does not fit
stopping.py    Ctrl-C and SIGTERM as a request to stop
live.py        the live view in a terminal
replicas.py    several seeds at once in one program
score.py       one number for a finished run, by validation images
operations.py  the floating-point operations of a step, by formulas
benchmark.py   `sparring bench`: the compiled loop beside a matrix product
"""
