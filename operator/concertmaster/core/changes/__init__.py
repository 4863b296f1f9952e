"""Changes of workflows: plan, policy checks, verification and the ledger of promised against measured effect. Pure."""
