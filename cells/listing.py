"""The output of --list: upstreams, tasks with the state of their corpora, suites, heads."""

from __future__ import annotations

import os

import downstreams
import tasks
import upstreams
from commons.places import Places


def show(places: Places) -> None:
    """Print all names; reads no audio and imports no large library."""
    data = places.data
    print("upstreams (-u)")
    for entry in upstreams.describe():
        print(f"  {entry.name:<26} {entry.modality:<6} {entry.about}")
    print(f"  {'late:NAME,NAME':<26} {'':<6} late fusion: the predictions of any number of upstreams, averaged")
    unread = tasks.unread(data)
    print(f"\ntasks (-t); corpora under {data}{'' if unread or os.path.isdir(data) else ', which does not exist'}")
    for row in tasks.describe(data):
        counts = f"{row.files}  [{row.downstream}]"
        print(f"  {row.task:<24} {row.language:<3} {row.state:<9} {row.problem or counts}")
    for line in unread:
        print(f"  {line}")
    print("\nsuites (-t)")
    for suite, members in tasks.suites().items():
        print(f"  {suite:<24} {members}")
    print("\nderived tasks (-t), from tasks of classes; a suite may replace TASK, SOURCE,TARGET and SUITE,TASK")
    for form, about in tasks.derived_kinds().items():
        print(f"  {form:<36} {about}")
    print("\ndownstreams (-d); NAME@FILE.yaml: with settings of your own")
    for name, about in downstreams.describe():
        print(f"  {name:<24} {about}")
