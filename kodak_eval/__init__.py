"""Rate-distortion evaluation of nicodec beside other codecs: data sets, anchors, metrics, BD-rate, report.

``nicodec eval`` is the command; from Python, ``kodak_eval.runner.run`` measures and
``kodak_eval.outputs.write_all`` writes table, plots and report. Importing this package loads nothing heavy.
"""
