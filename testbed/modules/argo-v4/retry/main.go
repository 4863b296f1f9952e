// Command retry does to a Workflow what `argo retry` does, with the functions that the command line uses. The command
// line itself is not part of the archive.
package main

import (
	"context"
	"fmt"
	"os"

	apierr "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/argoproj/argo-workflows/v4/pkg/client/clientset/versioned"
	"github.com/argoproj/argo-workflows/v4/util/logging"
	"github.com/argoproj/argo-workflows/v4/workflow/packer"
	"github.com/argoproj/argo-workflows/v4/workflow/util"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: retry KUBECONFIG NAMESPACE WORKFLOW [PARAMETER=VALUE...]")
		os.Exit(2)
	}
	if err := retry(os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func retry(kubeconfig, namespace, name string, parameters []string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	pods := kubernetes.NewForConfigOrDie(config).CoreV1().Pods(namespace)
	workflows := versioned.NewForConfigOrDie(config).ArgoprojV1alpha1().Workflows(namespace)
	ctx := logging.WithLogger(context.Background(), logging.NewSlogLogger(logging.Warn, logging.Text))
	found, err := workflows.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if err := packer.DecompressWorkflow(ctx, found); err != nil {
		return err
	}
	retried, gone, err := util.FormulateRetryWorkflow(ctx, found, false, "", parameters)
	if err != nil {
		return err
	}
	for _, pod := range gone {
		if err := pods.Delete(ctx, pod, metav1.DeleteOptions{}); err != nil && !apierr.IsNotFound(err) {
			return err
		}
	}
	if err := packer.CompressWorkflowIfNeeded(ctx, retried); err != nil {
		return err
	}
	_, err = workflows.Update(ctx, retried, metav1.UpdateOptions{})
	return err
}
