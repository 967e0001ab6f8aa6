"""The machine: settings of Python, JAX and the operating system.

isolation.py          no code from the current folder runs
numerics.py           JAX's settings that decide numbers, fixed for every run
compilation_cache.py  compiled programs, kept between commands
machine.py            free memory
mounts.py             system folders such as /proc, which hold no images
extras.py             optional packages, checked before long work begins
"""
