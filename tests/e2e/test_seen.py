"""What upstreams have seen is named as the tasks name it: a name of another spelling would leave cells unmarked."""

import pkgutil

from tasks import corpora
from upstreams.emotion2vec.official import MODELS as EMOTION2VEC
from upstreams.huggingface.named_encoders import MODELS

OTHERS = {"asvp_esd", "mesd"}  # corpora of their own, though their names end in one of ours


def plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def test_every_corpus_that_was_seen_bears_its_name_or_none_like_it():
    known = {module.name for module in pkgutil.iter_modules(corpora.__path__)}
    seen = {
        corpus
        for model in [*MODELS.values(), *EMOTION2VEC.values()]
        if isinstance(model.seen, dict)
        for corpus in model.seen
    }
    assert {"iemocap", "meld", "cmu_mosei", "msp_podcast", "cremad"} <= seen & known
    alike = {
        (name, corpus)
        for name in seen - known - OTHERS
        for corpus in known
        if plain(name) in plain(corpus) or plain(corpus) in plain(name)
    }
    assert not alike, "spelt otherwise than tasks/corpora spells it"
