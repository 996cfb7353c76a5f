"""What every self-supervised method shares. A method is a package beside this one, such as `upstreams/emotion2vec/`.

recipe_sections.py  the sections that every recipe has        recipe.py     recipes: YAML files, checked
method.py       what a method has to provide, and which there are
pack.py         speech, decoded once                          tracks.py     its energy and pitch
batches.py      which utterances a step takes, and masks      mel.py        log-mel energies
train.py        all of training                               launch.py     the same with progress and signals
meter.py        the log's figures                             processes.py  one process, or torchrun's
runfolder.py    what a run writes                             checkpoints.py  its checkpoints: names, files, average
record.py       what decides a run                            given_frames.py  frames of a teacher
shard_files.py  files of frames beside the packed speech
stops.py        why a run stops by itself: NaN, collapse
ablation.py     runs that differ in one thing                 command.py    the command lines
"""
