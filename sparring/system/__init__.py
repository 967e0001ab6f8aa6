"""THE MACHINE: what Python, JAX and the operating system need to be told.

isolation.py          no code from the current folder runs
numerics.py           JAX's settings that decide numbers, the same for every run
compilation_cache.py  compiled programs, kept from one command to the next
machine.py            how much memory a program may take
mounts.py             system folders such as /proc, which hold no files of the user
extras.py             optional packages, checked before anything long begins
"""
