"""EVALUATION of generated images: the measures, and the judge that computes them.

metrics/               a file each: Frechet and kernel distance, precision and recall, balance, modes, memorisation
features.py            features of images: of a classifier, of a general network, or of an ONNX file
classifier.py          a classifier and its training
protocol.py            which samples and real images are compared, and the floor
verdict.py             all measures of one set of samples, to and from JSON
validation_judge.py    judges a run on the validation images while it trains
monitor.py             decides when to judge a run while it trains, keeps the best state, raises alarms
alarms.py              when an alarm is raised, and its message
comparison.py          tables of verdicts, with mean and spread over seeds
rejection_sampling.py  images of chosen classes from an unconditional generator

judges/ holds the two shipped classifiers.
"""
