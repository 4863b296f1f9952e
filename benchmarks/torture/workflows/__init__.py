"""The workflows of the set: Argo by theme, Tekton pipelines, Jobs and JobSets."""
