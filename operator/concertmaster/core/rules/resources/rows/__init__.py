"""The rows of right-size: which containers are sized, to what, within which bounds, and what that saves."""
