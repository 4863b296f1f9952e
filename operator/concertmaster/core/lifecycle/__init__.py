"""The lifecycle of a recommendation: states, dismissal, whether it was implemented and what that brought."""
