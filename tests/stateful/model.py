"""What must be so: all that was promised so far, in plain sets and lists."""

from __future__ import annotations

from dataclasses import dataclass, field

Verdict = tuple[str, str | None]
"""id or ood, and the class where it was said."""


@dataclass
class Step:
    """What one reviewer said of some contents at once."""

    reviewer: str
    said: dict[str, Verdict]
    stands: bool = True


@dataclass
class Model:
    """What a catalog has to hold; copied with it into a backup, and back."""

    classifier: str
    detector: str
    networks: dict[str, str | None]
    """The network that each was fine-tuned from, if it was."""
    rate: float = 0.05
    images: set[str] = field(default_factory=set)
    """Every content that was ever found in the catalog."""
    sightings: set[tuple[str, str]] = field(default_factory=set)
    """Every file and content of it that was."""
    steps: list[Step] = field(default_factory=list)
    candidate_left: bool = False
    """A fine-tune was killed, which may have left its network's queue to the next one."""

    def use(self, network: str) -> None:
        """A network comes back into service, a fine-tuned one with the one that it comes from."""
        self.classifier, self.detector = self.networks[network] or network, network

    def say(self, reviewer: str, said: dict[str, Verdict]) -> None:
        """A reviewer judges."""
        self.steps.append(Step(reviewer, said))

    def undo(self, reviewer: str) -> int:
        """The reviewer's last step that stands falls; how many contents it was of."""
        for step in reversed(self.steps):
            if step.stands and step.reviewer == reviewer:
                step.stands = False
                return len(step.said)
        return 0

    def verdict(self, sha256: str) -> tuple[str, Verdict] | None:
        """Whose word stands on a content, and what it is: the last that was not taken back."""
        for step in reversed(self.steps):
            if step.stands and sha256 in step.said:
                return step.reviewer, step.said[sha256]
        return None

    def unlabeled(self) -> set[str]:
        """The images on which nobody's word stands."""
        return {sha256 for sha256 in self.images if self.verdict(sha256) is None}

    def tag(self, sha256: str, p_value: float | None) -> str:
        """A person's word, else the detector's at the alarm rate, else none yet."""
        if found := self.verdict(sha256):
            return found[1][0]
        if p_value is None:
            return "pending"
        return "ood" if p_value <= self.rate else "id"
