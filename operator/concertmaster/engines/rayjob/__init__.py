"""RayJobs of KubeRay."""
