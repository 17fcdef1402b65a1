"""The hit model: are the candidates of a frame a crystal's, and what else is in it.

What the photons say of "something or background" is the finder's pooled likelihood ratio, exact on
clean frames. The network finds the odds of "something, but no crystal of interest": ice, salt,
precipitant, a streak. Each of these explains some candidates, by their spacings or by where they
lie; what the best explanation leaves is evidence for a crystal, the more so at spacings that only
large cells have. Candidates are a set, in any order and number. The last layer starts at zero:
before training the verdict is the finder's.
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

#: Spots of grains lie further off their lines: each takes its own wavelength of the band.
_SALT_SIGMA = 0.011

#: Lines of salts are known down to this spacing, angstrom: below there are so many that they say
#: nothing.
FINEST_LINE: Final = 2.6

#: How far from the axis of a streak its candidates are, as the sine of the angle (one sigma), and
#: how many candidates make one: any two lie on some line.
_AXIS_SIGMA = 0.06
_FEWEST_IN_STREAK = 3.0

#: Spacings, angstrom, between shells. No lattice of interest has any beyond the first, where
#: streaks begin; the widest planes of salts are 9.7 angstrom apart, of most 6.3, of precipitant
#: 4.6, of ice 3.9.
SHELLS: Final = (45.0, 9.9, 8.6, 6.4, 5.0, 4.0)

#: Ranks of candidates whose significance is looked at.
RANKS: Final = (1, 2, 4, 8)
_SHELL_RANKS = (1, 2)

#: Of candidates within this distance from the beam, px, fewer are false: as the area.
_INNER_PX = 700.0

#: Significance that counts when explanations are compared: chance makes as much, and no single
#: candidate decides alone.
_CHANCE = 1.0
_ENOUGH = 15.0


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
    salts
        Spacings of salts, angstrom, (salts, lines), filled up with zeros.
    width
        Width of the hidden layers.
    """

    ice: Tensor
    precipitant: Tensor
    salts: Tensor
    shells: Tensor
    ranks: Tensor
    shell_ranks: Tensor

    def __init__(self, salts: Tensor, width: int = 24) -> None:
        super().__init__()
        # TorchScript knows constants as attributes only.
        self.first_odds = _FIRST_ODDS
        self.most_evidence = _MOST_EVIDENCE
        self.n_flags = len(FRAME_FLAGS)
        self.spacing_sigma = _SPACING_SIGMA
        self.salt_sigma = _SALT_SIGMA
        self.finest_line = FINEST_LINE
        self.axis_sigma = _AXIS_SIGMA
        self.fewest_in_streak = _FEWEST_IN_STREAK
        self.inner_px = _INNER_PX
        self.chance = _CHANCE
        self.enough = _ENOUGH
        self.register_buffer("ice", torch.tensor(_SPACINGS[0]))
        self.register_buffer("precipitant", torch.tensor(_SPACINGS[1]))
        # Lines that are not there are on no candidate.
        self.register_buffer("salts", salts.clamp(min=1e-3))
        self.register_buffer("shells", torch.tensor(SHELLS))
        self.register_buffer("ranks", torch.tensor(RANKS) - 1)
        self.register_buffer("shell_ranks", torch.tensor(_SHELL_RANKS) - 1)
        n_seen = 6 * len(RANKS) + (len(SHELLS) + 1) * len(_SHELL_RANKS) + 4 + 2 + 5
        self.weigh_up = nn.Sequential(
            nn.Linear(n_seen, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
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
        significance = (-candidates[:, :, 0].clamp(-40.0, 0.0)) * is_there
        counted = (significance - self.chance).clamp(0.0, self.enough)
        explained = self.explained(candidates, counted)
        left = (counted.unsqueeze(2) * (1.0 - explained)).sum(dim=1)
        # What explains most is taken for it, and the salt that does among salts.
        best = self.chosen(explained, left.argmin(dim=1))
        rest = significance * (1.0 - best)
        n_salts = self.salts.shape[0]
        salt = left[:, 2 : 2 + n_salts].argmin(dim=1) + 2
        seen = [self.ranked(significance, self.ranks), self.ranked(rest, self.ranks)]
        seen.append(self.ranked(significance * explained[:, :, 0], self.ranks))
        seen.append(self.ranked(significance * explained[:, :, 1], self.ranks))
        seen.append(self.ranked(significance * explained[:, :, -1], self.ranks))
        seen.append(self.ranked(significance * self.chosen(explained, salt), self.ranks))
        seen.append(self.by_shell(candidates, rest, 1.0 - best))
        least = left[:, 2 : 2 + n_salts].amin(dim=1, keepdim=True)
        seen.append(torch.log1p(torch.cat([left[:, :2], least, left[:, -1:]], dim=1)) / 2.0)
        bright = self.photons(candidates, significance)
        seen.append((bright * best).amax(dim=1, keepdim=True) / 4.0)
        seen.append((bright * (1.0 - best)).amax(dim=1, keepdim=True) / 4.0)
        seen.append(self.context(frames))
        answers = self.answer(self.weigh_up(torch.cat(seen, dim=1)))
        artefact = answers[:, 0] + self.first_odds
        evidence = frames[:, 0].clamp(-self.most_evidence, self.most_evidence) + answers[:, 1]
        log_odds = -torch.logaddexp(-evidence, artefact)
        return HitVerdict(log_odds, evidence, artefact, answers[:, 2:] - 2.0)

    def explained(self, candidates: Tensor, counted: Tensor) -> Tensor:
        """Return how well ice, precipitant, each salt and a streak explain candidates, 0 to 1.

        Returns
        -------
        Shape (B, N, 3 + salts), in this order.
        """
        inverse_d = candidates[:, :, 5].clamp(1e-6, 2.0)
        off = torch.log(inverse_d[:, :, None, None] * self.salts).abs().amin(dim=3)
        salts = torch.exp(-0.5 * (off / self.salt_sigma) ** 2)
        is_fine = (inverse_d * self.finest_line > 1.0).to(torch.float32)
        return torch.cat(
            [
                self.on_lines(candidates, self.ice).unsqueeze(2),
                self.on_lines(candidates, self.precipitant).unsqueeze(2),
                torch.maximum(salts, is_fine.unsqueeze(2)),
                self.on_axis(candidates, counted).unsqueeze(2),
            ],
            dim=2,
        )

    def on_lines(self, candidates: Tensor, spacings: Tensor) -> Tensor:
        """Return how well candidates lie on the nearest of some spacings, 0 to 1, (B, N)."""
        inverse_d = candidates[:, :, 5].clamp(1e-6, 2.0)
        off = torch.log(inverse_d.unsqueeze(2) * spacings).abs().amin(dim=2)
        return torch.exp(-0.5 * (off / self.spacing_sigma) ** 2)

    def on_axis(self, candidates: Tensor, counted: Tensor) -> Tensor:
        """Return how near candidates lie to the axis through the beam that most are about, (B, N).

        Nowhere near if there are too few of them on it.
        """
        x, y = candidates[:, :, 3], candidates[:, :, 4]
        radius = torch.hypot(x, y).clamp(min=1.0)
        cross = x.unsqueeze(2) * y.unsqueeze(1) - y.unsqueeze(2) * x.unsqueeze(1)
        sine = cross / (radius.unsqueeze(2) * radius.unsqueeze(1))
        pairs = torch.exp(-0.5 * (sine / self.axis_sigma) ** 2)
        # The axis is that of the candidate with most others about its own.
        support = (pairs * counted.unsqueeze(1)).sum(dim=2) * (counted > 0.0).to(torch.float32)
        near = self.chosen(pairs, support.argmax(dim=1))
        number = (near * (counted > 0.0).to(torch.float32)).sum(dim=1, keepdim=True)
        return near * torch.sigmoid(4.0 * (number - self.fewest_in_streak + 0.5))

    def chosen(self, explained: Tensor, number: Tensor) -> Tensor:
        """Return how well the explanation of a number, one per frame, explains, (B, N)."""
        where = number[:, None, None].expand(-1, explained.shape[1], 1)
        return explained.gather(2, where).squeeze(2)

    def photons(self, candidates: Tensor, significance: Tensor) -> Tensor:
        """Return the logarithm of the photons of sure candidates, 0 for others, (B, N)."""
        is_sure = torch.sigmoid(significance - 3.0) * candidates[:, :, 8]
        return torch.log1p(candidates[:, :, 1].clamp(min=0.0)) * is_sure

    def by_shell(self, candidates: Tensor, significance: Tensor, share: Tensor) -> Tensor:
        """Return the significance of the best candidates of each shell, (B, shells x ranks).

        Near the beam they stand out more, among fewer.

        Parameters
        ----------
        share
            How much of each candidate is looked at.
        """
        beyond = torch.log(candidates[:, :, 5].clamp(1e-6, 2.0).unsqueeze(2) * self.shells)
        beyond = torch.sigmoid(beyond / self.spacing_sigma)
        radius = torch.hypot(candidates[:, :, 3], candidates[:, :, 4]).clamp(min=1.0)
        nearer = 2.0 * torch.log(self.inner_px / radius).clamp(min=0.0)
        # Only of what is there, and no mere chance.
        nearer = nearer * share * torch.sigmoid(significance)
        nearer = nearer * candidates[:, :, 8]
        significance = significance + nearer
        ranked = [self.ranked(significance * (1.0 - beyond[:, :, 0]), self.shell_ranks)]
        for number in range(1, beyond.shape[2]):
            here = beyond[:, :, number - 1] - beyond[:, :, number]
            ranked.append(self.ranked(significance * here, self.shell_ranks))
        ranked.append(self.ranked(significance * beyond[:, :, -1], self.shell_ranks))
        return torch.cat(ranked, dim=1)

    def ranked(self, significance: Tensor, ranks: Tensor) -> Tensor:
        """Return the significance of the best candidate, the next, and so on, (B, ranks)."""
        most = int(ranks[-1]) + 1
        missing = torch.zeros(
            significance.shape[0], most, dtype=torch.float32, device=significance.device
        )
        padded = torch.cat([significance.clamp(min=0.0), missing], dim=1)
        best = torch.topk(padded, most, dim=1)[0]
        return torch.log1p(best[:, ranks]) / 2.0

    def context(self, frames: Tensor) -> Tensor:
        """Return what frames are like as a whole, (B, 5)."""
        evidence = frames[:, 0].clamp(-self.most_evidence, self.most_evidence)
        return torch.stack(
            [
                evidence / 10.0,
                torch.asinh(evidence) / 3.0,
                frames[:, 1].clamp(-40.0, 0.0) / 10.0,
                torch.log10(frames[:, 2].clamp(min=1e-6)) / 3.0,
                torch.log1p(frames[:, 3].clamp(min=0.0)) / 3.0,
            ],
            dim=1,
        )
