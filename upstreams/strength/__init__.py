"""How strong the emotion is, frame by frame: a network after StrengthNet (Liu et al., Interspeech 2022).

Its targets are no labels of strength: `ranking.py` makes them of the emotions of utterances. What descends from it has
seen those labels.
"""
