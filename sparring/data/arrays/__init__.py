"""ARRAYS of images in files.

idx.py       the IDX format of MNIST
idx_set.py   sets of IDX files in a folder or a zip
npz.py       NPZ and NPY files
ranges.py    which numbers are black and white
unpacked.py  content that is too large for memory
formats.py   what a file is, by its first bytes
"""
