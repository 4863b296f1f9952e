"""What the JSON API, ``-o json`` and the pages hold, as models: a contract with other programs. Fields may be added, none is
renamed. Numbers are JSON numbers with the unit in the name; null is not known."""
