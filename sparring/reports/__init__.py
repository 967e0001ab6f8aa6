"""REPORTS: a run or an evaluation as files.

measure.py      `sparring measure`: evaluates a run or samples and writes the report
report.py       the report as one HTML page
classes.py      its sections on classes and modes
spectrum.py     its section on the spectrum
overfitting.py  its sections on memorisation and the discriminator
history.py      its section on the training
provenance.py   its section on how to repeat it
html.py         the frame and the elements of the page; page.html and page.css are its frame and its style
charts.py       line charts and bars as SVG; charts.css is their style
curves.py       which curves are shown, for the report, the page, plots and TensorBoard
plots.py        curves as PNG and the grids as an animation
animation.py    GIF, WebP and animated PNG of the grids or of a latent walk
tensorboard.py  the same curves and grids for TensorBoard
"""
