"""`card:TASK` stands for all tasks of a card that its corpus allows, and says which it does not."""

import pytest

from commons.errors import EmorepError
from tasks import resolve
from tests.tasks import layouts


def test_a_card_holds_what_the_corpus_allows_and_names_what_it_does_not(tmp_path):
    layouts.cremad(tmp_path)
    said = []
    names = resolve(["card:cremad"], tmp_path, said.append)
    assert names[:3] == ["cremad", "speaker:cremad", "gender:cremad"]
    assert {"shots:cremad,1", "shots:cremad,16", "votes:cremad"} <= set(names)
    assert "sentence:cremad" not in names and any("sentence:cremad" in line for line in said), "one sentence only"
    assert any("across-languages:here,cremad" in line for line in said), "no other corpus is at hand"


def test_a_card_of_a_copy_without_audio_asks_for_no_changed_audio(tmp_path):
    layouts.meld(tmp_path)
    layouts.without_audio(tmp_path)
    said = []
    names = resolve(["card:meld"], tmp_path, said.append)
    assert "meld" in names and not any(name.startswith("perturbed:") for name in names)
    assert any(line.startswith("card:meld leaves out perturbed:meld:") for line in said)


def test_a_card_of_values_or_of_no_task_is_refused(tmp_path):
    layouts.iemocap(tmp_path, sessions=(1,))
    with pytest.raises(EmorepError, match="asks for regression"):
        resolve(["card:iemocap_arousal"], tmp_path)
    with pytest.raises(EmorepError, match="cremad"):
        resolve(["card:cremat"], tmp_path)
