"""METRICS: how good a set of images is. One file each: features -> statistics -> value; `protocol.py` says how many, of
which images, against which."""
