"""Training: data, objectives, the loop; reads a recipe, writes a model folder.

`run.train_recipe` is what `nicodec train` calls. The loop knows budget, checkpoints, logs and workers; what is
trained, on what and how is an objective's (`objective.py`), which the recipe names.

A caller from Python sets the environment variable OMP_WAIT_POLICY=PASSIVE before torch is imported, as the command
line does: torch's threads otherwise wait by spinning, and a step takes several times as long as soon as anything
else runs beside the training.
"""
