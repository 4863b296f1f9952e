"""Prediction of API server admission for the pods of a changed workflow."""
