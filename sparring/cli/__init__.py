"""The command line.

main.py        runs a command; errors and exit status
parsing.py     words into options, by tyro
train.py       `sparring train`
sweep.py       `sparring sweep`
sample.py      `sparring sample`
export.py      `sparring export`
animate.py     `sparring animate`
watch.py       `sparring watch`
measure.py     `sparring measure`
compare.py     `sparring compare`
data_check.py  `sparring data check`
recipes.py     `sparring recipes`
bench.py       `sparring bench`
"""
