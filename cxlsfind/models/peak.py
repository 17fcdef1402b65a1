"""The peak model: is a candidate a spot, where is it, how strong is it.

What is there is weighed as odds between a spot, background noise and artefacts. The odds of a spot
against noise are the likelihood ratio's, which nothing beats on clean data; the network adds a
bounded residual to it, for spots of other shapes and a background that is not quite as believed,
and finds the odds of the artefacts. The two are kept apart: a likely spot does not become a
doubtful one because it might also be something else. The last layer starts at zero: before
training the verdict is the likelihood ratio.

The network is convolutional throughout. On patches of 11 x 11 pixels around candidates it gives
one verdict each; on whole frames the same weights give a heat map.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from cxlsfind.models.likelihood import LikelihoodRatio, SpotTables
from cxlsfind.records import PEAK_CLASSES

#: Side of the window that a verdict is taken from.
PEAK_WINDOW: Final = 11

#: Log odds of every artefact against a spot before training.
_FIRST_ODDS = -9.2

#: The residual on the likelihood ratio stays within this many nats.
RESIDUAL_NATS: Final = 1.5

#: Photons per pixel that a patch is taken to have at least.
_LEAST_BACKGROUND = 1e-6


class PeakVerdict(NamedTuple):
    """What the model says of every window; shapes (B, h, w), with channels (B, C, h, w).

    Parameters
    ----------
    logit
        Log odds of a spot against noise, were spots as common as noise at the reference score.
    artefact
        Log odds of an artefact of any kind against a spot, were both as common.
    score
        Log likelihood ratio of a spot against background, without the network.
    residual
        What the network added to it.
    offset
        Where the spot is, px (fs, ss) from the middle of the window's middle pixel; C = 2.
    log_sigma
        Natural logarithm of the error of both, px; C = 2.
    photons
        Photons of the spot.
    classes
        Log odds of all classes against a spot, in the order of
        :data:`~cxlsfind.records.PEAK_CLASSES`.
    """

    logit: Tensor
    artefact: Tensor
    score: Tensor
    residual: Tensor
    offset: Tensor
    log_sigma: Tensor
    photons: Tensor
    classes: Tensor


class PeakModel(nn.Module):
    """A small residual on the likelihood ratio.

    Parameters
    ----------
    tables
        The likelihood ratio's shapes, intensities and weights.
    reference
        Score that background alone reaches once per frame, at the tables' nodes; (nodes,).
    widths
        Channels of the three convolutions and of the layer over the whole window.
    """

    reference: Tensor
    moments: Tensor
    counting: Tensor

    def __init__(
        self,
        tables: SpotTables,
        reference: list[float],
        widths: tuple[int, int, int, int] = (12, 12, 24, 64),
    ) -> None:
        super().__init__()
        # TorchScript knows constants as attributes only.
        self.window = PEAK_WINDOW
        self.first_odds = _FIRST_ODDS
        self.most_residual = RESIDUAL_NATS
        self.least_background = _LEAST_BACKGROUND
        self.likelihood = LikelihoodRatio(tables)
        self.register_buffer("reference", torch.tensor(reference, dtype=torch.float32))
        steps = torch.tensor([-1.0, 0.0, 1.0])
        ones = torch.ones(3)
        self.register_buffer(
            "moments",
            torch.stack(
                [torch.outer(ones, ones), torch.outer(ones, steps), torch.outer(steps, ones)]
            )[:, None],
        )
        self.register_buffer("counting", torch.ones(1, 1, 5, 5))
        one, two, three, hidden = widths
        self.look = nn.Sequential(
            nn.Conv2d(4, one, 3), nn.ReLU(), nn.Conv2d(one, two, 3), nn.ReLU()
        )
        self.look_wider = nn.Sequential(nn.Conv2d(two, three, 3), nn.ReLU())
        self.gather = nn.Conv2d(three, hidden, 5)
        self.inform = nn.Conv2d(5, hidden, 1)
        self.think = nn.Sequential(nn.ReLU(), nn.Conv2d(hidden, hidden, 1), nn.ReLU())
        self.n_artefacts = len(PEAK_CLASSES) - 2
        self.answer = nn.Conv2d(hidden, 1 + self.n_artefacts + 5, 1)
        nn.init.zeros_(self.answer.weight)
        nn.init.zeros_(self.answer.bias)  # type: ignore[arg-type]

    def forward(self, counts: Tensor, background: Tensor, mask: Tensor) -> PeakVerdict:
        """Judge every window of 11 x 11 pixels that lies in the images.

        Parameters
        ----------
        counts
            Photons as they were read, any integer type; (B, H, W).
        background
            Expected background photons per pixel; (B, H, W), float32.
        mask
            1 at usable pixels, 0 elsewhere; (B, H, W), uint8.
        """
        # Unsigned integers of 16 and 32 bits can do little more in torch than become floats.
        usable = mask.to(torch.float32).unsqueeze(1)
        photons = counts.to(torch.float32).unsqueeze(1).clamp(min=0.0) * usable
        level = background.to(torch.float32).unsqueeze(1).clamp(min=self.least_background)
        trim = self.window // 2 - self.likelihood.reach
        height, width = photons.shape[2], photons.shape[3]
        inner = photons[:, :, trim : height - trim, trim : width - trim]
        inner_level = level[:, :, trim : height - trim, trim : width - trim]
        inner_usable = usable[:, :, trim : height - trim, trim : width - trim]
        components = self.likelihood(inner, inner_level, inner_usable)
        score = torch.logsumexp(components, dim=1)
        middle = self.likelihood.level(inner_level)
        margin = score - self.reference_at(middle)
        answers = self.answers(photons, level, usable, components, margin, middle)
        residual = self.most_residual * torch.tanh(answers[:, 0] / self.most_residual)
        artefacts = answers[:, 1 : 1 + self.n_artefacts] + self.first_odds
        logit = margin + residual
        nothing = torch.zeros_like(logit).unsqueeze(1)
        offset, log_sigma, strength = self.measure(inner, inner_level, inner_usable, middle)
        last = answers[:, 1 + self.n_artefacts :]
        return PeakVerdict(
            logit=logit,
            artefact=torch.logsumexp(artefacts, dim=1),
            score=score,
            residual=residual,
            offset=offset + last[:, 0:2],
            log_sigma=(log_sigma.unsqueeze(1) + last[:, 2:4]).clamp(-4.0, 1.0),
            photons=strength * torch.exp(last[:, 4].clamp(-3.0, 3.0)),
            classes=torch.cat([nothing, -logit.unsqueeze(1), artefacts], dim=1),
        )

    def reference_at(self, level: Tensor) -> Tensor:
        """Return the score that background alone reaches once per frame; shape of ``level``."""
        place = ((torch.log(level) - self.likelihood.first) / self.likelihood.step).clamp(
            0.0, self.reference.shape[0] - 1.0001
        )
        lower = place.to(torch.int64)
        return torch.lerp(self.reference[lower], self.reference[lower + 1], place - lower)

    def answers(
        self,
        photons: Tensor,
        level: Tensor,
        usable: Tensor,
        components: Tensor,
        margin: Tensor,
        middle: Tensor,
    ) -> Tensor:
        """Return what the network says, zeros before training; (B, 1 + artefacts + 5, h, w)."""
        # The photon scale is the information: no normalisation by image or patch.
        surprise = 2.0 * (torch.sqrt(photons + 0.375) - torch.sqrt(level + 0.375))
        seen = torch.cat(
            [
                torch.log1p(photons) / 3.0,
                surprise.clamp(-6.0, 12.0) / 4.0 * usable,
                (torch.log10(level) + 2.0) / 2.0,
                usable,
            ],
            dim=1,
        )
        features = self.gather(self.look_wider(self.look(seen)))
        share = torch.softmax(components, dim=1)
        log_level = (torch.log10(middle) + 2.0) / 2.0
        known = torch.stack(
            [
                torch.asinh(margin / 4.0),
                log_level,
                share[:, 4::5].sum(dim=1),
                share[:, 5:10].sum(dim=1),
                share[:, 10:].sum(dim=1),
            ],
            dim=1,
        )
        answers: Tensor = self.answer(self.think(features + self.inform(known)))
        return answers

    def measure(
        self, photons: Tensor, level: Tensor, usable: Tensor, middle: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return position, error of position and photons as plain moments give them.

        Position is the centroid of the 3 x 3 box above background, photons are those of the 5 x 5
        box; the error is about the bound for a spot of 0.6 pixels.
        """
        excess = (photons - level) * usable
        c = self.likelihood.reach - 1
        height, width = excess.shape[2], excess.shape[3]
        box = excess[:, :, c : height - c, c : width - c]
        moments = nn.functional.conv2d(box, self.moments)
        held = moments[:, 0].clamp(min=0.5)
        offset = (moments[:, 1:] / held.unsqueeze(1)).clamp(-1.0, 1.0)
        c = self.likelihood.reach - 2
        wide = excess[:, :, c : height - c, c : width - c]
        strength = nn.functional.conv2d(wide, self.counting).squeeze(1).clamp(min=0.5)
        variance = 0.45 / strength * (1.0 + 13.0 * middle / strength) + 0.001
        return offset, 0.5 * torch.log(variance), strength
