"""THE JUDGE: how good a set of images is.

metrics/               a file each: Frechet and kernel distance, precision and recall, balance, modes, memorisation
features.py            what images are compared by: features of a classifier, of random weights, or of an ONNX file
classifier.py          the classifier whose features these are, and how it is trained
protocol.py            how many samples, against which real images, beside which floor
verdict.py             all numbers of one judgement, to and from JSON
validation_judge.py    judges a run on the validation images while it trains
monitor.py             judges a run while it trains, keeps the best state, raises alarms
alarms.py              when an alarm is raised, and what it says
comparison.py          verdicts side by side, mean and spread over seeds
rejection_sampling.py  images of a class from an unconditional generator

judges/ holds the two classifiers that come with the package.
"""
