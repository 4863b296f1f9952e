module concertmaster.dev/testbed/tekton-controller

go 1.26.0

require github.com/tektoncd/pipeline v1.15.0

tool github.com/tektoncd/pipeline/cmd/controller
