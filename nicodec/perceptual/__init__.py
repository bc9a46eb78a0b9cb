"""Feature networks and what is measured with them: training and evaluation share these.

Networks are read from packages that carry their weights; nothing is downloaded. None of the distances is LPIPS, DISTS
or FID, whose networks are others: their values are not comparable with published ones.
"""
