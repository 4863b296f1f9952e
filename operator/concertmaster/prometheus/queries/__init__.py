"""PromQL text: the bulk queries, their matchers and the recording rule. Pure."""
