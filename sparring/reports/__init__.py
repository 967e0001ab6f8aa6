"""REPORTS: what a run or a judgement looks like, in files.

measure.py      `sparring measure`: the verdict on a run or on samples, with its report
report.py       the report as one page of HTML
html.py         the frame and the parts of such a page
charts.py       line charts and bars as SVG
curves.py       which curves are shown, for the report and for the live page
history.py      how a run was trained, as a part of its report
plots.py        curves as PNG and the grids as an animation
animation.py    GIF, WebP and animated PNG: the grids of a run, or a walk through the latents
tensorboard.py  the same curves and grids for TensorBoard
"""
