module concertmaster.dev/testbed/argo-workflow-controller

go 1.26.0

require github.com/argoproj/argo-workflows/v3 v3.7.3

tool github.com/argoproj/argo-workflows/v3/cmd/workflow-controller
