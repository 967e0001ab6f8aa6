"""CONVOLUTIONS that are fast on a CPU inside a compiled loop.

convolution.py  chooses the way for each shape
winograd.py     Winograd's algorithm for 3x3 and 5x5 kernels
products.py     matrix products whose gradients are products without transposed copies
"""
