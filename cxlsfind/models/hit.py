"""The hit model: are the candidates of a frame a crystal's, and what else is in it.

What the photons say of "something or background" is the finder's pooled likelihood ratio, exact on
clean frames. The network finds the odds of "something, but no crystal of interest": ice, salt,
rings of the precipitant, a streak, sick pixels. It looks at the candidates as a set, in any order
and number, one by one and in pairs. Its last layer starts at zero: before training the verdict is
the finder's.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from cxlsfind.records import FRAME_FLAGS

#: Columns of a candidate.
CANDIDATE_COLUMNS: Final = (
    "log_expected",  # log of the false candidates expected per frame at or above it
    "photons",
    "background",  # photons per pixel
    "x",  # px from the beam
    "y",
    "inverse_d",  # per angstrom
    "n_pixels",
    "spot_logit",  # of the peak model; 0 without
    "is_there",  # 1, or 0 for the filling of a shorter list
)

#: Columns of a frame.
FRAME_COLUMNS: Final = ("log_bayes_factor", "log_p_value", "mean_photons", "n_peaks")

#: Candidates that are looked at, the most significant ones.
MOST_CANDIDATES: Final = 64

_FIRST_ODDS = -8.0
_MOST_EVIDENCE = 40.0

#: Lattice spacings, angstrom, whose spots are no crystal's of interest: hexagonal ice, and what
#: stands out of crystallised polyethylene glycol. And how far off they may be, relative: the
#: camera length is seldom known better.
_SPACINGS: Final = (
    (3.895, 3.661, 3.438, 2.667, 2.248, 2.068, 1.947, 1.916, 1.882),
    (4.63, 3.81),
)
_SPACING_SIGMA = 0.006

#: Ranks of candidates whose significance is looked at: salt has few spots, however strong.
RANKS: Final = (1, 2, 3, 4, 5, 7, 10, 15, 25)


class HitVerdict(NamedTuple):
    """What the model says of frames.

    Parameters
    ----------
    log_odds
        Log odds of a crystal against an empty frame and against artefacts together, were hits as
        common as each; (B,).
    evidence
        The finder's log Bayes factor of "something" against "background", corrected for how
        bright and how many spots really are; (B,).
    artefact
        Log odds of "artefacts alone" against a crystal; (B,).
    flags
        Log odds of each of :data:`~cxlsfind.records.FRAME_FLAGS`, crystal or not; (B, 4).
    """

    log_odds: Tensor
    evidence: Tensor
    artefact: Tensor
    flags: Tensor


class HitModel(nn.Module):
    """A small residual on the pooled likelihood ratio.

    Parameters
    ----------
    width
        Width of the hidden layers.
    """

    ice: Tensor
    precipitant: Tensor
    ranks: Tensor

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        # TorchScript knows constants as attributes only.
        self.first_odds = _FIRST_ODDS
        self.most_evidence = _MOST_EVIDENCE
        self.n_flags = len(FRAME_FLAGS)
        self.spacing_sigma = _SPACING_SIGMA
        self.register_buffer("ice", torch.tensor(_SPACINGS[0]))
        self.register_buffer("precipitant", torch.tensor(_SPACINGS[1]))
        self.register_buffer("ranks", torch.tensor(RANKS) - 1)
        self.most_rank = max(RANKS)
        n_single = 7 + 2 + 6
        self.see = nn.Sequential(
            nn.Linear(n_single, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.weigh_up = nn.Sequential(
            nn.Linear(3 * width + 6 + 2 * len(RANKS), 2 * width),
            nn.ReLU(),
            nn.Linear(2 * width, width),
            nn.ReLU(),
        )
        self.answer = nn.Linear(width, 2 + self.n_flags)
        nn.init.zeros_(self.answer.weight)
        nn.init.zeros_(self.answer.bias)

    def forward(self, candidates: Tensor, frames: Tensor) -> HitVerdict:
        """Judge frames.

        Parameters
        ----------
        candidates
            Columns of :data:`CANDIDATE_COLUMNS`, (B, N, 9), float32; any order.
        frames
            Columns of :data:`FRAME_COLUMNS`, (B, 4), float32.
        """
        is_there = candidates[:, :, 8]
        log_expected = candidates[:, :, 0].clamp(-40.0, 10.0)
        # How surely a candidate is more than chance.
        weight = torch.sigmoid(-log_expected) * is_there
        ice = self.on_lines(candidates, self.ice)
        precipitant = self.on_lines(candidates, self.precipitant)
        seen = self.see(
            torch.cat(
                [
                    self.single(candidates, log_expected),
                    ice.unsqueeze(2),
                    precipitant.unsqueeze(2),
                    self.pairs(candidates, weight),
                ],
                dim=2,
            )
        )
        total = (seen * weight.unsqueeze(2)).sum(dim=1)
        sure = weight.sum(dim=1, keepdim=True)
        pooled = torch.cat(
            [
                torch.log1p(total),
                total / (sure + 0.1),
                (seen * weight.unsqueeze(2)).amax(dim=1),
                self.context(frames, sure),
                self.ranked(-log_expected * is_there),
                self.ranked(-log_expected * is_there * (1.0 - ice) * (1.0 - precipitant)),
            ],
            dim=1,
        )
        answers = self.answer(self.weigh_up(pooled))
        artefact = answers[:, 0] + self.first_odds
        evidence = frames[:, 0].clamp(-self.most_evidence, self.most_evidence) + answers[:, 1]
        log_odds = -torch.logaddexp(-evidence, artefact)
        return HitVerdict(log_odds, evidence, artefact, answers[:, 2:] - 2.0)

    def on_lines(self, candidates: Tensor, spacings: Tensor) -> Tensor:
        """Return how well candidates lie on the nearest of some spacings, 0 to 1, (B, N)."""
        inverse_d = candidates[:, :, 5].clamp(1e-6, 2.0)
        off = torch.log(inverse_d.unsqueeze(2) * spacings).abs().amin(dim=2)
        return torch.exp(-0.5 * (off / self.spacing_sigma) ** 2)

    def ranked(self, significance: Tensor) -> Tensor:
        """Return the significance of the best candidate, the next, and so on, (B, ranks)."""
        missing = torch.zeros(
            significance.shape[0], self.most_rank, dtype=torch.float32, device=significance.device
        )
        padded = torch.cat([significance.clamp(min=0.0), missing], dim=1)
        best = torch.topk(padded, self.most_rank, dim=1)[0]
        return torch.log1p(best[:, self.ranks]) / 2.0

    def single(self, candidates: Tensor, log_expected: Tensor) -> Tensor:
        """Return what candidates are like one by one, (B, N, 7)."""
        return torch.stack(
            [
                log_expected / 10.0,
                torch.log1p(candidates[:, :, 1].clamp(min=0.0)) / 4.0,
                torch.log10(candidates[:, :, 2].clamp(min=1e-6)) / 3.0,
                torch.hypot(candidates[:, :, 3], candidates[:, :, 4]) / 1000.0,
                candidates[:, :, 5].clamp(0.0, 1.0) * 3.0,
                torch.log1p(candidates[:, :, 6].clamp(min=0.0)) / 2.0,
                candidates[:, :, 7].clamp(-10.0, 10.0) / 5.0,
            ],
            dim=2,
        )

    def pairs(self, candidates: Tensor, weight: Tensor) -> Tensor:
        """Return how candidates stand to each other, (B, N, 6).

        Others at the same distance from the beam within two widths, close by, on a line through
        the beam; the same resolution; and how bright they are among the others.
        """
        x, y = candidates[:, :, 3], candidates[:, :, 4]
        radius = torch.hypot(x, y).clamp(min=1.0)
        apart = radius.unsqueeze(2) - radius.unsqueeze(1)
        others = weight.unsqueeze(1) * (1.0 - torch.eye(x.shape[1], device=x.device))
        near = (x.unsqueeze(2) - x.unsqueeze(1)) ** 2 + (y.unsqueeze(2) - y.unsqueeze(1)) ** 2
        cross = (x.unsqueeze(2) * y.unsqueeze(1) - y.unsqueeze(2) * x.unsqueeze(1)) / (
            radius.unsqueeze(2) * radius.unsqueeze(1)
        )
        spacing = candidates[:, :, 5].clamp(min=1e-3)
        ratio = torch.log(spacing.unsqueeze(2) / spacing.unsqueeze(1))
        photons = torch.log1p(candidates[:, :, 1].clamp(min=0.0))
        brighter = torch.sigmoid(2.0 * (photons.unsqueeze(1) - photons.unsqueeze(2)))
        counted = torch.stack(
            [
                (others * torch.exp(-((apart / 2.0) ** 2))).sum(dim=2),
                (others * torch.exp(-((apart / 8.0) ** 2))).sum(dim=2),
                (others * torch.exp(-near / 200.0)).sum(dim=2),
                (others * torch.exp(-((cross / 0.02) ** 2))).sum(dim=2),
                (others * torch.exp(-((ratio / 0.006) ** 2))).sum(dim=2),
                (others * brighter).sum(dim=2),
            ],
            dim=2,
        )
        return torch.log1p(counted)

    def context(self, frames: Tensor, sure: Tensor) -> Tensor:
        """Return what frames are like as a whole, (B, 6)."""
        evidence = frames[:, 0].clamp(-self.most_evidence, self.most_evidence)
        plain = torch.stack(
            [
                evidence / 10.0,
                frames[:, 1].clamp(-40.0, 0.0) / 10.0,
                torch.log10(frames[:, 2].clamp(min=1e-6)) / 3.0,
                torch.log1p(frames[:, 3].clamp(min=0.0)) / 3.0,
                torch.asinh(evidence) / 3.0,
            ],
            dim=1,
        )
        return torch.cat([plain, torch.log1p(sure) / 3.0], dim=1)
