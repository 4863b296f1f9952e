"""What the API server would answer when the pods of a changed workflow are created."""
