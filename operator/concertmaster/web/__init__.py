"""The dashboard and its JSON API: server-rendered, read only, with the reader's own rights, over the views of ``report``."""
