"""METRICS, one per file: features -> statistics -> value. `sparring.evaluation.protocol` decides which images are used.

frechet.py        Frechet distance (Dowson & Landau 1982)
kernel.py         kernel distance: the squared maximum mean discrepancy
neighbours.py     precision, recall, density, coverage
balance.py        class balance of the samples and of the data
spectrum.py       power by frequency: blur, noise, and a grid over the samples
modes.py          how many of the 1,000 modes of stacked MNIST are covered
memorisation.py   samples that are copies of training images
discriminator.py  overfitting of the discriminator
asked.py          samples of a conditional generator, class by class
"""
