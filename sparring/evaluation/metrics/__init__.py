"""METRICS, a file each: features -> statistics -> value. See `sparring.evaluation.protocol` for how many images.

frechet.py        Frechet distance (Dowson & Landau 1982)
kernel.py         kernel distance: the squared maximum mean discrepancy
neighbours.py     precision, recall, density, coverage
balance.py        is each class as frequent as in the data?
modes.py          how many of stacked MNIST's 1,000 triples are made
memorisation.py   are samples copies of training images?
discriminator.py  does the discriminator overfit?
asked.py          are samples of the class that was asked for?
"""
