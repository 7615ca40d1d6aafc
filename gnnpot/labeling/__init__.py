"""Energies, forces and stress by reference methods: computed once, kept in a store."""

from __future__ import annotations

from gnnpot.labeling.labeler import CalculatorLabeler as CalculatorLabeler
from gnnpot.labeling.labeler import Failure as Failure
from gnnpot.labeling.labeler import Label as Label
from gnnpot.labeling.labeler import Labeler as Labeler
from gnnpot.labeling.local import LocalPool as LocalPool
from gnnpot.labeling.methods import Method as Method
from gnnpot.labeling.methods import method_of as method_of
from gnnpot.labeling.running import LabelingProgress as LabelingProgress
from gnnpot.labeling.running import fill as fill
from gnnpot.labeling.running import label as label
from gnnpot.labeling.running import plan as plan
from gnnpot.labeling.store.store import LabelStore as LabelStore
