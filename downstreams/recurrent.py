"""Networks over the turns of dialogues: a GRU, a GRU over the last few turns, and DialogueRNN."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from downstreams.turn_settings import DialogueRnn, Gru, OfTurns, RecentGru

Drop = Callable[[torch.Tensor], torch.Tensor]


def same(x: torch.Tensor) -> torch.Tensor:
    """x: what takes the place of dropout when nothing is trained."""
    return x


class Dropout:
    """Dropout whose masks a generator of one's own draws, on the CPU, so that every device drops the same."""

    def __init__(self, share: float, draws: torch.Generator) -> None:
        self._share, self._draws = share, draws

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        kept = torch.rand(x.shape, generator=self._draws) >= self._share
        return x * (kept / (1 - self._share)).to(x.device)


class Network(nn.Module):
    """Weighted sum of the layers, Linear, a network over the turns, Linear."""

    def __init__(self, depth: int, width: int, n_classes: int, directions: int, settings: OfTurns) -> None:
        super().__init__()
        self.layers = nn.Parameter(torch.zeros(depth))
        self.projector = nn.Linear(width, settings.projector)
        self.over_turns = over_turns(settings, directions)
        self.classifier = nn.Linear(self.over_turns.width, n_classes)

    def start(self, draws: torch.Generator) -> None:
        """Starts all parameters anew as torch does, uniform to 1 / sqrt(inputs or, of a GRU, states); layers alike."""
        for module in self.modules():
            bound = getattr(module, "hidden_size", getattr(module, "in_features", 1)) ** -0.5
            for name, parameter in module.named_parameters(recurse=False):
                if name != "layers":
                    nn.init.uniform_(parameter, -bound, bound, generator=draws)

    def projected(self, x: torch.Tensor) -> torch.Tensor:
        """What the first Linear gives (n, P) of turns (n, L, D)."""
        return self.projector(self.layers.softmax(0) @ x)

    def forward(self, x: torch.Tensor, speaker: torch.Tensor, lengths: list[int], drop: Drop) -> torch.Tensor:
        """Logits (n, C) of dialogues of these lengths, whose turns lie one after another: x (n, L, D), speaker (n,)."""
        return self.classifier(drop(self.over_turns(drop(self.projected(x)), speaker, lengths, drop)))


def in_step(lengths: list[int]) -> tuple[torch.Tensor, list[int]]:
    """For both directions, each dialogue (longest first) and step the turn's place in the batch (2, B, T; past the end
    any place), and how many dialogues have each step."""
    sizes = torch.tensor(lengths)
    starts = sizes.cumsum(0) - sizes
    order = sizes.argsort(descending=True, stable=True)
    sizes, starts = sizes[order][:, None], starts[order][:, None]
    steps = torch.arange(int(sizes.max()))
    forward = torch.minimum(steps, sizes - 1)
    return torch.stack([starts + forward, starts + sizes - 1 - forward]), (steps < sizes).sum(0).tolist()


def flat(places: torch.Tensor, active: list[int]) -> torch.Tensor:
    """The places (R, n) of all turns in the order of steps; its argsort leads back."""
    return torch.cat([places[:, :there, t] for t, there in enumerate(active)], 1)


class ContextGRU(nn.Module):
    """One layer of GRU over the turns, one way or both."""

    def __init__(self, settings: Gru, directions: int) -> None:
        super().__init__()
        self.width = directions * settings.hidden
        self.gru = nn.GRU(settings.projector, settings.hidden, bidirectional=directions == 2)

    def forward(self, x: torch.Tensor, speaker: torch.Tensor, lengths: list[int], drop: Drop) -> torch.Tensor:
        """States (n, width) of turns (n, P)."""
        places, active = in_step(lengths)
        order = flat(places[:1], active)[0].to(x.device)
        states, _ = self.gru(PackedSequence(x[order], torch.tensor(active)))
        return states.data[order.argsort()]


class RecentTurns(nn.Module):
    """Layers of GRU over each turn and the few turns before it, forwards.

    An interpretation of emotion2vec's head for the next turn's emotion (Ma et al. 2024: two layers of GRU over the
    previous six turns); the paper gives no more of it.
    """

    def __init__(self, settings: RecentGru) -> None:
        super().__init__()
        self.width, self._turns = settings.hidden, settings.turns
        self.gru = nn.GRU(settings.projector, settings.hidden, settings.layers)

    def forward(self, x: torch.Tensor, speaker: torch.Tensor, lengths: list[int], drop: Drop) -> torch.Tensor:
        """The last state (n, width) of each turn's window, of turns (n, P)."""
        place = torch.cat([torch.arange(length) for length in lengths])  # in its dialogue
        sizes = (place + 1).clamp_max(self._turns)
        order = sizes.argsort(descending=True, stable=True)
        first = (torch.arange(len(place)) - sizes + 1)[order]
        active = (sizes[:, None] > torch.arange(int(sizes.max()))).sum(0)
        rows = torch.cat([first[:there] + t for t, there in enumerate(active.tolist())]).to(x.device)
        _, last = self.gru(PackedSequence(x[rows], active))
        return last[-1][order.argsort().to(x.device)]


class Linears(nn.Module):
    """R Linears without bias, one a direction."""

    def __init__(self, directions: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.in_features = inputs
        self.weight = nn.Parameter(torch.empty(directions, inputs, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(R, n, outputs) of (R, n, inputs)."""
        return x @ self.weight


class Cells(nn.Module):
    """R GRU cells as torch.nn.GRUCell, one a direction."""

    def __init__(self, directions: int, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden_size = hidden
        self.weight_ih = nn.Parameter(torch.empty(directions, inputs, 3 * hidden))
        self.weight_hh = nn.Parameter(torch.empty(directions, hidden, 3 * hidden))
        self.bias_ih = nn.Parameter(torch.empty(directions, 1, 3 * hidden))
        self.bias_hh = nn.Parameter(torch.empty(directions, 1, 3 * hidden))

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """The next state (R, n, hidden) from inputs (R, n, inputs) and the state before."""
        gates, old = torch.baddbmm(self.bias_ih, x, self.weight_ih), torch.baddbmm(self.bias_hh, state, self.weight_hh)
        cut = 2 * self.hidden_size
        reset, keep = (gates[..., :cut] + old[..., :cut]).sigmoid().chunk(2, -1)
        new = (gates[..., cut:] + reset * old[..., cut:]).tanh()
        return new + keep * (state - new)


class DialogueRNN(nn.Module):
    """DialogueRNN (Majumder et al., AAAI 2019), one way or both, without listener states and without attention over
    emotion states.

    At turn t of speaker s, from the turn u: the global state g_t = GRU(g_{t-1}, [u, q_s]); the context c = attention of
    u over g_1 .. g_{t-1} (score g W u); the speaker's state q_s = GRU(q_s, [u, c]); the emotion
    e_t = GRU(e_{t-1}, q_s). The emotions of both directions go through a Linear and ReLU. New states pass dropout, as
    in the published code.

    All directions run in step, on dialogues sorted by length: at turn t only those that have one are computed.
    """

    def __init__(self, settings: DialogueRnn, directions: int) -> None:
        super().__init__()
        turn, one, speaker, emotion = settings.projector, settings.global_, settings.party, settings.emotion
        self.width = directions * settings.hidden
        self.sizes, self.directions = (one, speaker, emotion), directions
        self.all = Cells(directions, turn + speaker, one)
        self.attention = Linears(directions, turn, one)
        self.party = Cells(directions, turn + one, speaker)
        self.emotion = Cells(directions, speaker, emotion)
        self.hidden = nn.Linear(directions * emotion, self.width)

    def forward(self, x: torch.Tensor, speaker: torch.Tensor, lengths: list[int], drop: Drop) -> torch.Tensor:
        """(n, width) of turns (n, P)."""
        places, active = in_step(lengths)
        places = places[: self.directions].to(x.device)
        parties = int(speaker.max()) + 1
        first = (self.directions, len(lengths))
        whole, party, emotion = (x.new_zeros(*first, size) for size in self.sizes)
        party = party[:, :, None].expand(-1, -1, parties, -1)
        past = whole[:, :, None, :][:, :, :0]
        emotions = []
        for t, there in enumerate(active):
            rows = places[:, :there, t]
            u, who = x[rows], speaker[rows][..., None, None].expand(-1, -1, 1, self.sizes[1])
            whole, party, emotion, past = (state[:, :there] for state in (whole, party, emotion, past))
            own = party.gather(2, who).squeeze(2)
            whole = drop(self.all(torch.cat([u, own], -1), whole))
            scores = (past @ self.attention(u)[..., None]).softmax(2)
            context = (scores.mT @ past).squeeze(2)
            own = drop(self.party(torch.cat([u, context], -1), own))
            party = party.scatter(2, who, own[:, :, None])
            emotion = drop(self.emotion(own, emotion))
            past = torch.cat([past, whole[:, :, None]], 2)
            emotions.append(emotion)
        order = flat(places, active).argsort(1)[..., None].expand(-1, -1, self.sizes[2])
        return self.hidden(torch.cat(emotions, 1).gather(1, order).transpose(0, 1).flatten(1)).relu()


def over_turns(settings: OfTurns, directions: int) -> ContextGRU | RecentTurns | DialogueRNN:
    """The network over the turns that the settings name."""
    if isinstance(settings, DialogueRnn):
        return DialogueRNN(settings, directions)
    if isinstance(settings, RecentGru):
        return RecentTurns(settings)
    return ContextGRU(settings, directions)
