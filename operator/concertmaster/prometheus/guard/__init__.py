"""The fence around users' PromQL: parsed, confined to the user's namespace, printed and parsed again."""
