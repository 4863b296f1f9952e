"""WorkflowChanges as they are read, and what each means for the ledger."""

from __future__ import annotations

from concertmaster.controller.workflow_change.ledger import ledger_entry
from concertmaster.controller.workflow_change.scope import Scope
from concertmaster.controller.workflow_change.view import WorkflowChangeView

__all__ = ["Scope", "WorkflowChangeView", "ledger_entry"]
