"""Two releases for the same namespaces, installed without Helm, which would have refused the second: one manages a change,
the other leaves it alone and says so."""

from __future__ import annotations

from concertmaster.api.conditions import ConditionType as C
from concertmaster.core.model.enums import Verdict
from tests.support.controller.change_steps import HOUR
from tests.support.controller.changes_bed import Bed, Pages


class TwoOperators(Bed):
    """A bed with two processes and a journal of each, which take turns."""

    def start(self) -> None:
        self.both = []
        for _ in range(2):
            self.pages = Pages(self.mortal)
            super().start()
            self.both.append((self.pages, self.changes))

    def turn(self, which: int) -> None:
        """A cycle of one of them."""
        self.pages, self.changes = self.both[which]
        self.run()


def test_two_operators_do_not_contradict_each_other_in_every_cycle() -> None:
    bed = TwoOperators(cooldown="60d")
    for _ in range(5):
        bed.turn(0)
        bed.turn(1)
    assert any("is managed by another operator" in p for p in bed.problems)
    assert bed.state(C.ORPHANED) == ("False", "Active")
    assert bed.reported().count("ChangeOrphaned") == 1
    bed.writes()
    bed.turn(1)
    assert bed.writes() == []
    bed.turn(0)
    assert bed.problems == []
    bed.now += 9 * HOUR
    bed.runs(9, seed=3, cpu=0.75)
    bed.turn(1)
    bed.turn(0)
    assert (bed.one().phase, bed.one().verdict) == ("Completed", Verdict.IMPROVED)
    bed.turn(1)
    assert bed.problems == []


def test_the_one_that_knows_a_change_still_rolls_it_back() -> None:
    bed = TwoOperators()
    for which in (0, 1, 0, 1):
        bed.turn(which)
    bed.decide("Reject")
    bed.turn(1)
    assert bed.cpu() == "1500m"
    bed.turn(0)
    assert (bed.cpu(), bed.one().status["restored"]) == ("2", True)


def test_a_journal_that_comes_back_and_is_lost_again_is_no_other_operator() -> None:
    """Where the history cannot be opened, it is kept in memory meanwhile."""
    bed = Bed()
    for _ in range(2):
        bed.run()
    for _ in range(2):
        kept, bed.pages.rows = bed.pages.rows, {}
        bed.run()
        assert bed.state(C.ORPHANED) == ("True", "NotInJournal")
        bed.pages.rows = kept
        bed.run()
        assert bed.state(C.ORPHANED) == ("False", "Active")
    assert bed.problems == []
