// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"net"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	dpclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
)

// advise is the text of an error, and what to do about it where that is known.
func (p *program) advise(err error) string {
	if advice := p.adviceFor(err); advice != "" {
		return fmt.Sprintf("%v\n%s", err, advice)
	}
	return err.Error()
}

func (p *program) adviceFor(err error) string {
	switch dpclient.Code(err) {
	case api.ProblemCodeNotFound:
		if !strings.Contains(err.Error(), "plan has not been stored") {
			return "" // a chunk or an object, of which the data plane says enough
		}
		return fmt.Sprintf("The data plane knows an Event from the moment the manager has started it: '%s status EVENT' "+
			"says what it waits for.", p.Name)
	case api.ProblemCodeGone:
		return "The Event is being deleted, and its rows with it."
	case api.ProblemCodeForbidden:
		if p.account != "" {
			return fmt.Sprintf("Who may administer the Event's namespace can allow it: kubectl create rolebinding NAME "+
				"--clusterrole mre-event-viewer --serviceaccount %s", strings.Replace(p.account, "/", ":", 1))
		}
		fallthrough
	case api.ProblemCodeUnauthenticated:
		return fmt.Sprintf("Is the data plane in namespace %s of the same install as the ServiceAccount mre-viewer there?",
			p.install)
	case api.ProblemCodeUnavailable:
		return fmt.Sprintf("The data plane cannot work at the moment: kubectl -n %s logs deployment/mre-dataplane", p.install)
	}
	if _, ok := errors.AsType[*dpclient.Error](err); ok {
		return ""
	}
	status, _ := errors.AsType[*apierrors.StatusError](err)
	switch {
	case meta.IsNoMatchError(err):
		return "The cluster does not know the kinds of MRE Operator: install it first, or choose " +
			"another cluster with --context."
	case apierrors.IsUnauthorized(err):
		return "The API server does not accept the credentials of the kubeconfig: renew them, or choose " +
			"others with --context or --user."
	case apierrors.IsNotFound(err):
		return p.adviceForMissing(status)
	case apierrors.IsForbidden(err) && p.inInstall(status):
		return fmt.Sprintf("The data plane is read through a port-forward with a token of mre-viewer. Who may administer "+
			"namespace %[1]s can allow it:\n  kubectl -n %[1]s create rolebinding mre-viewer-NAME --role "+
			"mre-viewer --user NAME\nIf MRE Operator is in a namespace other than %[1]s, name it with --install-namespace.",
			p.install)
	case apierrors.IsForbidden(err):
		return "The roles view and edit of the cluster include the kinds of MRE Operator: ask for " +
			"one of them in this namespace."
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return "Is the cluster of the kubeconfig up? See --context and --kubeconfig."
	}
	return ""
}

func (p *program) adviceForMissing(status *apierrors.StatusError) string {
	switch kind := missingKind(status); kind {
	case "events":
		return fmt.Sprintf("'%s status -A' lists the Events of all namespaces.", p.Name)
	case "services", "serviceaccounts", "namespaces":
		return fmt.Sprintf("MRE Operator is not installed in namespace %s: name the one that it is in with "+
			"--install-namespace.", p.install)
	}
	return ""
}

// missingKind is the resource that an error speaks of.
func missingKind(status *apierrors.StatusError) string {
	if status == nil || status.ErrStatus.Details == nil {
		return ""
	}
	return status.ErrStatus.Details.Kind
}

// inInstall says whether an error is about a right in the install's namespace.
func (p *program) inInstall(status *apierrors.StatusError) bool {
	return status != nil && strings.Contains(status.ErrStatus.Message, fmt.Sprintf("in the namespace %q", p.install))
}
