"""The cluster's side of the operator, and the only package that imports the Kubernetes client."""
