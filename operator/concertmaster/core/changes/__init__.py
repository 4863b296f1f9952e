"""Changes of workflows: plan, checks, verification and the ledger of predicted and measured effects. Pure."""
